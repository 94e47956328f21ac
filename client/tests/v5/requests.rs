//! Request and response.

use super::*;

#[tokio::test(start_paused = true)]
async fn requests_find_their_responses() {
    let mut lab = Lab::new(|b| b);
    let (mut peer, _) = lab.up(false, &[]).await;
    let ask = |payload: &'static str, deadline| {
        let client = lab.client.clone();
        let deadline = Duration::from_secs(deadline);
        tokio::spawn(async move { client.request("ask", payload, "answers", deadline).await })
    };
    let mut asked = Vec::new();
    for (payload, deadline) in [("one", 60), ("two", 60), ("three", 5)] {
        asked.push(ask(payload, deadline));
    }
    let mut questions: Vec<(String, String, Vec<u8>)> = Vec::new();
    while questions.len() < 3 {
        let got = soon("a question", peer.next()).await.unwrap();
        if let Packet::Publish(p) = got.packet() {
            assert_eq!((p.topic, p.qos), ("ask", QoS::AtLeastOnce));
            let topic = p.props.response_topic().unwrap().to_owned();
            // Nobody waits for the answer any longer than that.
            let deadline = if p.payload == b"three" { 5 } else { 60 };
            assert_eq!(p.props.message_expiry(), Some(deadline));
            let correlation = p.props.correlation_data().unwrap().to_vec();
            let payload = String::from_utf8(p.payload.to_vec()).unwrap();
            questions.push((payload, topic, correlation));
        }
        peer.answer(&got).await;
    }
    // In another order, and with something nobody asked for.
    let stray = ("stray".to_owned(), "answers".to_owned(), b"unknown".to_vec());
    questions.push(stray);
    for (payload, topic, correlation) in questions.iter().rev().filter(|q| q.0 != "three") {
        let list = [Property::CorrelationData(correlation)];
        peer.send(Publish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            topic,
            pid: None,
            props: Properties::from_list(&list),
            payload: format!("re: {payload}").as_bytes(),
        })
        .await;
    }
    tokio::spawn(async move { peer.serve().await });
    let mut answers = Vec::new();
    for question in asked {
        answers.push(soon("an answer", question).await.unwrap().map(|m| text(&m)));
    }
    assert_eq!(answers, [Ok("re: one".into()), Ok("re: two".into()), Err(RequestError::Timeout)]);
}
