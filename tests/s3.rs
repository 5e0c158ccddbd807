//! The S3 destination against a server with every fault that S3 is known for.

mod support;

#[tokio::test]
async fn starts() {
    support::s3::Server::usual().await;
}
