//! A network namespace with links into it, each as slow as it is told to be. Linux, `ip`, `tc` and the
//! right to use them are needed. Everything is removed when it is dropped.

use std::{
    net::Ipv4Addr,
    process::{self, Command, Stdio},
};

/// What passes at once before the rate holds: a few packets.
const BURST: &str = "8kb";

/// What waits longer than this at the entrance of a link is dropped.
const QUEUE: &str = "300ms";

/// A pair of interfaces, one of them in the namespace.
pub struct Link {
    ours: String,
    theirs: String,
    /// Address of the interface in the namespace.
    pub there: Ipv4Addr,
    rate: String,
}

/// The namespace and its links.
pub struct Network {
    pub namespace: String,
    pub links: Vec<Link>,
}

impl Network {
    /// Makes one with a link of each of these rates, in the words of `tc`. The error is why it
    /// cannot be made here.
    pub fn new(rates: &[&str]) -> Result<Self, String> {
        let namespace = format!("stemma-{}", process::id());
        let subnet = free_subnet()?;
        run("ip", &["netns", "add", &namespace])?;
        // From here on dropping it cleans up.
        let mut network = Self { namespace, links: Vec::new() };
        run("ip", &["netns", "exec", &network.namespace, "true"])?;
        for (number, rate) in (0..).zip(rates) {
            network.add_link(number, subnet, rate)?;
        }
        Ok(network)
    }

    fn add_link(&mut self, number: u8, [a, b, c]: [u8; 3], rate: &str) -> Result<(), String> {
        // At most 15 bytes.
        let [ours, theirs] = ["a", "b"].map(|end| format!("stm{}{end}{number}", process::id()));
        let at = |host| Ipv4Addr::new(a, b, c, 4 * number + host);
        run("ip", &["link", "add", &ours, "type", "veth", "peer", "name", &theirs, "netns", &self.namespace])?;
        self.links.push(Link { ours, theirs, there: at(2), rate: rate.to_owned() });
        let link = &self.links[usize::from(number)];
        run("ip", &["address", "add", &format!("{}/30", at(1)), "dev", &link.ours])?;
        run("ip", &["-n", &self.namespace, "address", "add", &format!("{}/30", at(2)), "dev", &link.theirs])?;
        run("ip", &["link", "set", &link.ours, "up"])?;
        self.heal(link)
    }

    /// The interface in the namespace goes down, and so ours loses its carrier. Ours stays up, or
    /// what is sent would take the default route instead.
    pub fn take_down(&self, link: &Link) -> Result<(), String> {
        run("ip", &["-n", &self.namespace, "link", "set", &link.theirs, "down"])
    }

    /// Both interfaces stay up, but swallow what is sent.
    pub fn silence(&self, link: &Link) -> Result<(), String> {
        self.queue(link, &["blackhole"])
    }

    /// As it was at first.
    pub fn heal(&self, link: &Link) -> Result<(), String> {
        self.queue(link, &["tbf", "rate", &link.rate, "burst", BURST, "latency", QUEUE])?;
        run("ip", &["-n", &self.namespace, "link", "set", &link.theirs, "up"])
    }

    /// A command that runs in the namespace.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace, program]);
        command
    }

    /// How both ends of a link hold and pass on what is sent.
    fn queue(&self, link: &Link, how: &[&str]) -> Result<(), String> {
        run("tc", &[&["qdisc", "replace", "dev", &link.ours, "root"], how].concat())?;
        run("tc", &[&["-n", &self.namespace, "qdisc", "replace", "dev", &link.theirs, "root"], how].concat())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // One end of a pair takes the other with it.
        let mut removed: Vec<_> = self.links.iter().map(|link| run("ip", &["link", "delete", &link.ours])).collect();
        removed.push(run("ip", &["netns", "delete", &self.namespace]));
        for error in removed.into_iter().filter_map(Result::err) {
            eprintln!("not removed: {error}");
        }
    }
}

/// A network of 256 addresses that no route but the default one leads to.
fn free_subnet() -> Result<[u8; 3], String> {
    for attempt in 0..64 {
        let number = process::id().wrapping_add(attempt * 257);
        let [.., b, c] = number.to_be_bytes();
        let subnet = [10, b | 0x80, c];
        let text = format!("10.{}.{c}.0/24", b | 0x80);
        let show = |which| output("ip", &["-4", "route", "show", "table", "all", "to", which, &text]);
        let is_default = |line: &str| line.starts_with("default") || line.starts_with("0.0.0.0/0");
        let is_free = show("match")?.lines().all(is_default) && show("root")?.trim().is_empty();
        if is_free {
            return Ok(subnet);
        }
    }
    Err("no free addresses in 10.128.0.0/9".into())
}

fn run(program: &str, args: &[&str]) -> Result<(), String> {
    output(program, args).map(drop)
}

fn output(program: &str, args: &[&str]) -> Result<String, String> {
    let mut command = Command::new(program);
    let output = command.args(args).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("{program} {}: {}", args.join(" "), said.lines().next().unwrap_or("failed")))
}
