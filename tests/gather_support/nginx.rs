//! nginx over a directory, as an ordinary cache is served.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running nginx; it ends with this value.
pub struct Nginx {
    child: Child,
    /// The port of plain HTTP.
    pub port: u16,
    /// The port of HTTPS with HTTP/2, if it was asked for.
    pub tls_port: u16,
    _directory: tempfile::TempDir,
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Where nginx is, if it is installed. In CI it must be.
fn program() -> Option<&'static str> {
    let found = ["/usr/sbin/nginx", "/usr/bin/nginx", "/run/current-system/sw/bin/nginx"]
        .into_iter()
        .find(|path| Path::new(path).exists());
    assert!(found.is_some() || std::env::var_os("CI").is_none(), "nginx is not installed");
    if found.is_none() {
        println!("skipped: nginx is not installed");
    }
    found
}

impl Nginx {
    /// Serves `root`; `None`, with a notice, where nginx is not installed.
    pub fn serve(root: &Path) -> Option<Self> {
        Self::serve_with(root, None)
    }

    /// Also serves it by TLS with this certificate and key (PEM).
    pub fn serve_with(root: &Path, tls: Option<(&str, &str)>) -> Option<Self> {
        let program = program()?;
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path().display();
        let (port, tls_port) = (free_port(), free_port());
        let mut listen = format!("listen 127.0.0.1:{port};");
        if let Some((certificate, key)) = tls {
            std::fs::write(directory.path().join("cert.pem"), certificate).unwrap();
            std::fs::write(directory.path().join("key.pem"), key).unwrap();
            listen.push_str(&format!(
                "listen 127.0.0.1:{tls_port} ssl http2; ssl_certificate {at}/cert.pem; \
                 ssl_certificate_key {at}/key.pem;"
            ));
        }
        let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|name| format!("{name}_temp_path {at}/{name};"))
            .collect();
        let configuration = format!(
            "{user} daemon off; master_process off; pid {at}/pid; error_log {at}/error.log; \
             events {{}} http {{ access_log {at}/access.log; {temporary} \
             server {{ {listen} root {}; location /private/ {{ return 403; }} }} }}",
            root.display()
        );
        let file = directory.path().join("nginx.conf");
        std::fs::write(&file, configuration).unwrap();
        let child = Command::new(program)
            .arg("-p")
            .arg(directory.path())
            .arg("-c")
            .arg(&file)
            .arg("-e")
            .arg(directory.path().join("error.log"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let nginx = Self { child, port, tls_port, _directory: directory };
        let begin = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begin.elapsed() < Duration::from_secs(10), "nginx does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(nginx)
    }

    /// What was requested, a line each.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self._directory.path().join("access.log")).unwrap_or_default()
    }

    /// The URL of what it serves.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
