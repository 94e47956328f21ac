//! What a module does when it is told.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpStream;
use tokio::time::sleep;

use super::Lie;
use super::module::{End, State, take_one};
use super::socket::Socket;

impl State {
    pub(super) async fn command(&mut self, text: &str) -> Result<(), End> {
        let old = self.is_old();
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        // Each firmware has its own word for the same.
        let name = match name.strip_suffix("_CUR").or_else(|| name.strip_suffix("_CUR?")) {
            Some(name) if old && text.contains("_CUR?") => &format!("{name}?"),
            Some(name) if old => name,
            Some(_) => return self.error().await,
            None => name,
        };
        match name {
            "AT" | "AT+CIPMODE" | "AT+CIPDINFO" | "AT+CWMODE" => self.ok().await,
            "AT+RST" => {
                self.ok().await?;
                Err(End::Restart)
            }
            "AT+GMR" => self.version().await,
            "AT+SYSSTORE" if !old => self.ok().await,
            "AT+CWJAP?" => self.network().await,
            "AT+CWJAP" => self.join(value).await,
            "AT+CWQAP" => {
                self.joined = None;
                self.ok().await?;
                match self.socket.take() {
                    Some(_) => self.say("CLOSED\r\nWIFI DISCONNECT\r\n").await,
                    None => self.say("WIFI DISCONNECT\r\n").await,
                }
            }
            "AT+CIPMUX" if self.socket.is_some() => {
                self.say("link is builded\r\n\r\nERROR\r\n").await
            }
            "AT+CIPMUX" => self.ok().await,
            "AT+CIPRECVMODE" if self.socket.is_none() => {
                self.passive = value == "1";
                self.ok().await
            }
            "AT+CIPDOMAIN" => self.resolve(value).await,
            "AT+CIPSTART" => self.connect(value).await,
            "AT+CIPSEND" => self.send(value).await,
            "AT+CIPRECVDATA" => self.fetch(value).await,
            "AT+CIPRECVLEN?" if self.passive => {
                let n = self.socket.as_ref().map_or(0, Socket::waiting);
                let rest = if old { ",0,0,0,0" } else { "" };
                self.say(&format!("+CIPRECVLEN:{n}{rest}\r\n\r\nOK\r\n")).await
            }
            "AT+CIPCLOSE" => match self.socket.take() {
                Some(_) => self.say("CLOSED\r\n\r\nOK\r\n").await,
                None => self.error().await,
            },
            _ => self.error().await,
        }
    }

    async fn version(&mut self) -> Result<(), End> {
        let (at, sdk) = match self.is_old() {
            true => ("1.7.4.0(May 11 2020 19:13:04)", "3.0.4(9532ceb)"),
            false => {
                ("3.2.0.0(s-ec2dec2 - ESP32 - Jul 28 2023 07:05:28)", "v5.0.2-376-g24b9d38a24")
            }
        };
        let text = format!("AT version:{at}\r\nSDK version:{sdk}\r\n\r\nOK\r\n");
        self.say(&text).await
    }

    async fn network(&mut self) -> Result<(), End> {
        let word = if self.is_old() { "+CWJAP_CUR" } else { "+CWJAP" };
        let text = match &self.joined {
            Some(ssid) => format!("{word}:\"{ssid}\",\"00:00:5e:00:53:01\",6,-52\r\n\r\nOK\r\n"),
            None => "No AP\r\n\r\nOK\r\n".to_owned(),
        };
        self.say(&text).await
    }

    async fn join(&mut self, value: &str) -> Result<(), End> {
        let words = quoted(value);
        let [ssid, passphrase] = words.as_slice() else { return self.error().await };
        if self.joined.take().is_some() {
            self.say("WIFI DISCONNECT\r\n").await?;
        }
        let time = self.module.join;
        self.meanwhile(sleep(time), true).await?;
        let away = self.shared.faults(|f| f.no_wifi);
        let reason = match self.module.networks.get(ssid).filter(|_| !away) {
            None => 3,
            Some(right) if right != passphrase => 2,
            Some(_) => {
                self.joined = Some(ssid.clone());
                self.say("WIFI CONNECTED\r\nWIFI GOT IP\r\n").await?;
                return self.ok().await;
            }
        };
        let word = if self.is_old() { "+CWJAP_CUR" } else { "+CWJAP" };
        self.say(&format!("{word}:{reason}\r\n\r\nFAIL\r\n")).await
    }

    fn lookup(&self, host: &str) -> Option<Ipv4Addr> {
        if let Ok(address) = host.parse() {
            return Some(address);
        }
        let works = self.joined.is_some() && !self.shared.faults(|f| f.no_names);
        self.module.names.get(host).copied().filter(|_| works)
    }

    async fn resolve(&mut self, value: &str) -> Result<(), End> {
        let host = quoted(value).pop().unwrap_or_default();
        let text = match (self.lookup(&host), self.is_old()) {
            (Some(address), true) => format!("+CIPDOMAIN:{address}\r\n\r\nOK\r\n"),
            (Some(address), false) => format!("+CIPDOMAIN:\"{address}\"\r\n\r\nOK\r\n"),
            (None, _) => "DNS Fail\r\n\r\nERROR\r\n".to_owned(),
        };
        self.say(&text).await
    }

    async fn connect(&mut self, value: &str) -> Result<(), End> {
        let words = quoted(value);
        let [kind, host, port] = words.as_slice() else { return self.error().await };
        if self.socket.is_some() {
            return self.say("ALREADY CONNECTED\r\n\r\nERROR\r\n").await;
        }
        if self.joined.is_none() {
            return self.say("no ip\r\n\r\nERROR\r\n").await;
        }
        let (Some(address), Ok(port), "TCP") = (self.lookup(host), port.parse(), kind.as_str())
        else {
            return self.error().await;
        };
        let connecting = TcpStream::connect(SocketAddr::from((address, port)));
        match self.meanwhile(connecting, true).await? {
            Ok(stream) => {
                let _ = stream.set_nodelay(true);
                self.socket = Some(Socket::new(stream));
                self.say("CONNECT\r\n\r\nOK\r\n").await
            }
            Err(_) => self.say("ERROR\r\nCLOSED\r\n").await,
        }
    }

    async fn send(&mut self, value: &str) -> Result<(), End> {
        let n = match value.parse::<usize>() {
            Ok(n) if (1..=2048).contains(&n) => n,
            _ => return self.error().await,
        };
        if self.socket.is_none() {
            return self.say("link is not valid\r\n\r\nERROR\r\n").await;
        }
        self.say("\r\nOK\r\n> ").await?;
        let bytes = self.payload(n).await?;
        self.say(&format!("\r\nRecv {n} bytes\r\n")).await?;
        let fails = self.shared.faults(|f| take_one(&mut f.send_fails));
        let sent = match self.socket.take() {
            Some(mut socket) if !fails => {
                let sending = async {
                    let sent = socket.write(&bytes).await;
                    (socket, sent)
                };
                let (socket, sent) = self.meanwhile(sending, true).await?;
                self.socket = Some(socket);
                sent
            }
            _ => false,
        };
        self.say(if sent { "\r\nSEND OK\r\n" } else { "\r\nSEND FAIL\r\n" }).await
    }

    async fn fetch(&mut self, value: &str) -> Result<(), End> {
        let asked = value.parse().unwrap_or(0);
        let old = self.is_old();
        let waiting = self.socket.as_ref().map_or(0, Socket::waiting);
        if waiting == 0 || asked == 0 || !self.passive {
            return self.error().await;
        }
        let mut bytes = self.socket.as_mut().map_or_else(Vec::new, |s| s.take(asked));
        let lie = self.shared.faults(|f| f.lie);
        let said = match lie {
            Some(Lie::More) => asked + 1,
            Some(Lie::Huge) => 4_000_000_000,
            _ => bytes.len(),
        };
        if lie == Some(Lie::Fewer) {
            bytes.pop();
        }
        let mut text = match old {
            true => format!("+CIPRECVDATA,{said}:"),
            false => format!("+CIPRECVDATA:{said},"),
        }
        .into_bytes();
        text.extend(bytes);
        text.extend(match lie {
            Some(Lie::NoEnd) => &b"and so on\r\n"[..],
            _ => b"\r\nOK\r\n",
        });
        match lie {
            Some(Lie::None) => self.ok().await?,
            _ if self.shared.faults(|f| f.raving) => self.say("").await?,
            _ => self.say_raw(&text).await?,
        }
        self.notify().await
    }
}

/// Words, in quotation marks or not, between commas.
fn quoted(text: &str) -> Vec<String> {
    let (mut words, mut word, mut inside) = (Vec::new(), String::new(), false);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => word.extend(chars.next()),
            '"' => inside = !inside,
            ',' if !inside => words.push(std::mem::take(&mut word)),
            c => word.push(c),
        }
    }
    words.push(word);
    words
}

#[cfg(test)]
mod tests {
    #[test]
    fn words_are_unquoted() {
        assert_eq!(super::quoted(r#""a\"b","c,\\d",7"#), ["a\"b", "c,\\d", "7"]);
        assert_eq!(super::quoted(""), [""]);
    }
}
