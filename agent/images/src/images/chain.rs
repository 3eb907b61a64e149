//! The names of stacks of layers, as Docker prints them when they go.

use berth_agent_snapshots::LayerId;

use crate::Digest;

/// Returns the id of each stack that the layers make, the lowest layer alone first.
pub(super) fn chain_ids(layers: &[LayerId]) -> Vec<Digest> {
    let mut chain: Vec<Digest> = Vec::with_capacity(layers.len());
    for layer in layers {
        let next = match chain.last() {
            None => Digest::from(layer),
            Some(below) => Digest::of(format!("{below} {layer}").as_bytes()),
        };
        chain.push(next);
    }
    chain
}

#[cfg(test)]
mod tests {
    use berth_agent_snapshots::LayerId;

    use super::chain_ids;

    #[test]
    fn the_lowest_stack_is_named_by_its_layer() {
        let layers = [
            LayerId::from_sha256(&[1; 32]),
            LayerId::from_sha256(&[2; 32]),
        ];
        let chain = chain_ids(&layers);
        assert_eq!(chain[0].as_str(), layers[0].as_str());
        // printf 'sha256:0101… sha256:0202…' | sha256sum
        assert_eq!(
            chain[1].hex(),
            "ad00036de6f26a309d173ace61d4a45573a1658ab0ff36e3858c3dbee3c5ded8"
        );
    }
}
