//! A proxy to the API server whose connections a test can cut.

use std::sync::Arc;
use std::time::Duration;

use axon_test::cluster::Cluster;
use kube::config::Kubeconfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

pub struct CutProxy {
    /// Flags that send a command through the proxy.
    pub flags: [String; 4],
    cut: Arc<Notify>,
}

impl CutProxy {
    pub async fn to(cluster: &Cluster) -> Self {
        let kubeconfig = Kubeconfig::read_from(cluster.kubeconfig()).unwrap();
        let server = kubeconfig.clusters[0]
            .cluster
            .as_ref()
            .unwrap()
            .server
            .clone()
            .unwrap();
        let url: http::Uri = server.parse().unwrap();
        let host = url.host().unwrap().to_owned();
        let target = format!("{host}:{}", url.port_u16().unwrap_or(443));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let flags = [
            "--server".to_owned(),
            format!("https://{}", listener.local_addr().unwrap()),
            "--tls-server-name".to_owned(),
            host,
        ];
        let cut = Arc::new(Notify::new());
        tokio::spawn(serve(listener, target, cut.clone()));
        Self { flags, cut }
    }

    /// Cuts all connections again and again; dropping the future ends it.
    pub async fn cut_every(&self, period: Duration) {
        loop {
            tokio::time::sleep(period).await;
            self.cut.notify_waiters();
        }
    }
}

async fn serve(listener: TcpListener, target: String, cut: Arc<Notify>) {
    while let Ok((mut near, _)) = listener.accept().await {
        let (target, cut) = (target.clone(), cut.clone());
        tokio::spawn(async move {
            let mut far = TcpStream::connect(target).await.unwrap();
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                () = cut.notified() => {}
            }
        });
    }
}
