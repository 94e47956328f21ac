//! The brokers that every machine has after `./test tools`. The others: `just brokers`.

use everlink_brokers::broker::Kind;
use everlink_brokers::cluster;
use everlink_brokers::matrix::{self, Row};

async fn as_expected(kind: Kind) {
    let rows = matrix::run(kind, &[], false, |row| println!("{row:?}")).await;
    let rows = rows.unwrap_or_else(|e| panic!("{e}"));
    let surprises: Vec<_> = rows.iter().filter_map(Row::surprise).collect();
    assert!(surprises.is_empty(), "{}", surprises.join("\n"));
    // 14 of the checks are for both versions.
    assert!(rows.len() >= 14);
}

#[tokio::test(flavor = "multi_thread")]
async fn mosquitto() {
    as_expected(Kind::Mosquitto).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nats() {
    as_expected(Kind::Nats).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mqtt5() {
    as_expected(Kind::Mqtt5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_loses_nodes_loses_no_message() {
    println!("{}", cluster::run().await.unwrap_or_else(|e| panic!("{e}")));
}
