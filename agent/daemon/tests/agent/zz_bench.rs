//! Ad hoc.
use crate::client::{command, sh};
use crate::host::Host;
use berth_proto::v1::{HostConfig, wait_request::Condition};
use std::time::Instant;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn bench_run() {
    let host = Host::new();
    let client = host.client().await;
    client.import().await;
    client.run(sh("true")).await.expect("run");
    let pid = host.agent_pid();
    let status = |pid: u32| {
        let s = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        s.lines()
            .filter(|l| l.starts_with("VmRSS") || l.starts_with("Rss") || l.starts_with("Threads"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    println!("{}", status(pid));
    for mode in ["", "none", "host"] {
        let mut rows: Vec<[f64; 6]> = Vec::new();
        for _ in 0..60 {
            let mut config = command(&["true"]);
            config.host = Some(HostConfig {
                auto_remove: true,
                network_mode: mode.to_owned(),
                ..Default::default()
            });
            let t0 = Instant::now();
            let id = client.create("", config).await.expect("create");
            let t1 = Instant::now();
            let mut attached = client.attach(&id, false).await.expect("attach");
            let exited = client.wait(&id, Condition::Removed).await.expect("wait");
            let t2 = Instant::now();
            client.start(&id).await.expect("start");
            let t3 = Instant::now();
            attached.rest().await;
            let t4 = Instant::now();
            exited.await;
            let t5 = Instant::now();
            let ms = |a: Instant, b: Instant| (b - a).as_secs_f64() * 1000.0;
            rows.push([
                ms(t0, t1),
                ms(t1, t2),
                ms(t2, t3),
                ms(t3, t4),
                ms(t4, t5),
                ms(t0, t5),
            ]);
        }
        let median = |i: usize| {
            let mut v: Vec<f64> = rows.iter().map(|r| r[i]).collect();
            v.sort_by(f64::total_cmp);
            (v[v.len() / 2], v[0])
        };
        println!(
            "{mode:5} create {:?} attach+wait {:?} start {:?} exit {:?} removed {:?} total {:?}",
            median(0),
            median(1),
            median(2),
            median(3),
            median(4),
            median(5)
        );
    }
    let t = Instant::now();
    for _ in 0..100 {
        client.list(&[]).await.expect("list");
    }
    println!("list {:?}", t.elapsed() / 100);
    println!("{}", status(pid));
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    println!("{}", status(pid));
    let id = client.run_detached("", command(&["sleep", "1000"])).await;
    let _ = id;
    let out = std::process::Command::new("sh").arg("-c").arg(format!("for p in $(pgrep -P {pid}; pgrep -f supervise); do grep -H -e Private -e '^Rss' /proc/$p/smaps_rollup; done; ps -o pid,ppid,rss,args -C berthd")).output().unwrap();
    println!("{}", String::from_utf8_lossy(&out.stdout));
}
