//! The Docker Engine API: a thin face of the engine for the clients of Docker, over HTTP/1.1 with
//! hijacked connections, and over HTTP/2 as far as that goes.
//!
//! A folder or file is a resource of the API, a function one of its calls: it reads what is asked,
//! calls the engine, and writes the answer in the shape of the client's version. `router` finds the
//! function, `error` is the only place that knows statuses of failures, `streams` has the forms in
//! which things are sent that do not end soon. Rules about containers are the engine's.
//!
//! The API is described in moby's `api/docs/v1.NN.yaml`; where clients depend on more than that, the
//! comment says so.

mod answer;
mod api;
mod audit;
mod body;
mod build;
mod call;
mod containers;
mod decode;
mod distribution;
mod error;
mod exec;
mod images;
mod incoming;
mod moment;
mod networks;
mod not_here;
mod query;
mod registry_auth;
mod router;
mod streams;
mod system;
mod version;
mod volumes;

pub use api::{Api, ApiConfig};
pub use body::Body;
pub use streams::hijack::Hold;
