use proptest::prelude::*;
use serde_json::json;

use super::*;

fn allow(text: &str) -> Allow {
    Allow::parse(text).unwrap()
}

/// Returns whether a policy lets a pod reach an address that is no pod's.
fn passes(policy: &NetworkPolicy, to: IpAddr, protocol: &str, port: u16) -> bool {
    let rules = policy.spec.as_ref().unwrap().egress.iter().flatten();
    let inside = |cidr: &String| cidr.parse::<IpNet>().unwrap().contains(&to);
    let peer = |peer: &NetworkPolicyPeer| {
        let block = peer.ip_block.as_ref();
        block.is_some_and(|b| inside(&b.cidr) && !b.except.iter().flatten().any(inside))
    };
    let opens = |open: &NetworkPolicyPort| {
        let Some(IntOrString::Int(first)) = open.port else {
            panic!("{open:?}");
        };
        let last = open.end_port.unwrap_or(first);
        open.protocol.as_deref() == Some(protocol) && (first..=last).contains(&i32::from(port))
    };
    rules.into_iter().any(|rule| {
        let to = rule.to.as_ref().unwrap();
        assert!(!to.is_empty(), "a rule for every destination");
        let ports = rule.ports.as_ref();
        to.iter().any(peer) && ports.is_none_or(|ports| ports.iter().any(opens))
    })
}

fn reaches(allow: &str, to: &str, port: u16) -> bool {
    passes(
        &policy("team", &self::allow(allow), &[]),
        to.parse().unwrap(),
        "TCP",
        port,
    )
}

#[test]
fn by_default_agents_reach_https_and_ssh_of_public_addresses() {
    for (to, port, wanted) in [
        ("140.82.121.3", 443, true),
        ("140.82.121.3", 22, true),
        ("140.82.121.3", 80, false),
        ("2606:4700::1111", 443, true),
        ("2606:4700::1111", 53, false),
        ("64:ff9b::8c52:7903", 443, true),
        ("10.0.0.1", 443, false),
        ("192.168.0.1", 22, false),
        ("169.254.169.254", 80, false),
        ("169.254.169.254", 443, false),
        ("fd00:ec2::254", 443, false),
        ("64:ff9b::a9fe:a9fe", 443, false),
        // DNS alone.
        ("169.254.169.254", 53, true),
        ("169.254.20.10", 53, true),
        ("169.254.169.253", 53, false),
        ("8.8.8.8", 53, false),
    ] {
        assert_eq!(reaches("", to, port), wanted, "{to} {port}");
    }
    let policy = policy("team", &Allow::default(), &[]);
    let (public, node) = ("140.82.121.3".parse().unwrap(), "169.254.20.10".parse().unwrap());
    assert!(!passes(&policy, public, "UDP", 443) && passes(&policy, node, "UDP", 53));
}

#[test]
fn nothing_reaches_agents_and_no_rule_is_without_a_destination() {
    let policy = policy("team", &allow("10.0.0.0/8,public:80"), &[]);
    let spec = serde_json::to_value(policy.spec.unwrap()).unwrap();
    assert_eq!(spec["policyTypes"], json!(["Ingress", "Egress"]));
    assert_eq!(spec["ingress"], json!([]));
    let selected = json!({"matchLabels": {"app.kubernetes.io/component": "task", "app.kubernetes.io/managed-by": "axon-operator"}});
    assert_eq!(spec["podSelector"], selected);
    for rule in spec["egress"].as_array().unwrap() {
        assert!(!rule["to"].as_array().unwrap().is_empty(), "{rule}");
    }
}

#[test]
fn the_policy_is_as_documented() {
    let servers = ["10.96.0.10", "127.0.0.53"].map(|server| server.parse().unwrap());
    let policy = policy(
        "team",
        &allow("10.1.0.0/16:8000-8080,fd00:1::/64,public:80"),
        &servers,
    );
    insta::assert_yaml_snapshot!(policy);
}

#[test]
fn entries_open_what_they_say_and_no_more() {
    let list = "10.1.0.0/16:443, 10.2.0.0/16:8000-8080,10.3.0.7/32,fd00:1::/64:443,public:80";
    for (to, port, wanted) in [
        ("10.1.2.3", 443, true),
        ("10.1.2.3", 80, false),
        ("10.2.0.1", 8000, true),
        ("10.2.0.1", 8080, true),
        ("10.2.0.1", 8081, false),
        ("10.3.0.7", 1, true),
        ("10.3.0.8", 1, false),
        ("fd00:1::5", 443, true),
        ("fd00:2::5", 443, false),
        ("8.8.8.8", 80, true),
        ("169.254.169.254", 80, false),
        ("10.9.9.9", 80, false),
    ] {
        assert_eq!(reaches(list, to, port), wanted, "{to} {port}");
    }
    assert!(Allow::parse(" , ").unwrap().is_empty());
    assert_eq!(allow("10.0.0.0/8,10.0.0.0/8"), allow("10.0.0.0/8"));
}

#[test]
fn what_is_no_entry_is_named() {
    for bad in [
        "10.0.0.0",
        "10.0.0.0/33",
        "10.0.0.0/+8",
        "10.0.0.0/8:",
        "10.0.0.0/8:0",
        "10.0.0.0/8:9-8",
        "10.0.0.0/8:+1",
        "10.0.0.0/8:65536",
        "10.0.0.0/8:443/udp",
        "010.0.0.0/8",
        "example.com/8",
        "example.com:443",
        "public",
        "public:",
        "Public:80",
        "::ffff:10.0.0.0/104",
        "10.0.0.0/8;10.0.0.0/9",
    ] {
        let error = Allow::parse(&format!("10.9.0.0/16,{bad}")).unwrap_err();
        assert!(error.to_string().contains(&format!("{bad:?}")), "{error}");
    }
    for everything in ["0.0.0.0/0", "0.0.0.0/0:80", "::/0:443"] {
        let error = Allow::parse(everything).unwrap_err().to_string();
        assert!(error.contains("public:PORT"), "{error}");
    }
    let inside = Allow::parse("10.1.2.3/16").unwrap_err().to_string();
    assert!(inside.ends_with("write 10.1.0.0/16"), "{inside}");
    let many: Vec<String> = (0..101).map(|n| format!("10.0.{n}.0/24")).collect();
    assert_eq!(Allow::parse(&many.join(",")), Err(AllowError::TooMany(101)));
}

#[test]
fn a_proxy_with_an_address_is_reached() {
    for (url, to, port) in [
        ("http://user:secret@10.0.0.7:3128", "10.0.0.7", 3128),
        ("10.0.0.7:3128", "10.0.0.7", 3128),
        ("http://10.0.0.7", "10.0.0.7", 80),
        ("https://10.0.0.7/", "10.0.0.7", 443),
        ("socks5h://10.0.0.7", "10.0.0.7", 1080),
        ("http://[fd00::7]:3128", "fd00::7", 3128),
    ] {
        let mut allow = Allow::default();
        assert!(allow.add_proxy(url), "{url}");
        let policy = policy("team", &allow, &[]);
        assert!(passes(&policy, to.parse().unwrap(), "TCP", port), "{url}");
        assert!(!passes(&policy, to.parse().unwrap(), "TCP", port + 1), "{url}");
    }
    let mut none = Allow::default();
    assert!(
        !none.add_proxy("http://proxy.example:3128") && !none.add_proxy("") && !none.add_proxy("http://")
    );
    assert!(none.add_proxy("http://127.0.0.1:3128"), "it is in the pod");
    assert!(none.is_empty());
}

#[test]
fn annotations_of_the_namespace_add_networks_or_turn_it_off() {
    let of = |pairs: &[(&str, &str)]| {
        let all = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        of_namespace("team", Some(&all.collect()))
    };
    assert_eq!(of_namespace("team", None), Ok(Some(Allow::default())));
    assert_eq!(
        of(&[("axon.io/network-policy", "managed")]),
        Ok(Some(Allow::default()))
    );
    assert_eq!(
        of(&[("axon.io/allow-egress", "10.1.0.0/16:443")]),
        Ok(Some(allow("10.1.0.0/16:443")))
    );
    assert_eq!(
        of(&[("axon.io/network-policy", "off"), ("axon.io/allow-egress", "x")]),
        Ok(None)
    );
    for (key, value) in [
        ("axon.io/network-policy", "OFF"),
        ("axon.io/network-policy", ""),
        ("axon.io/network-policy", "false"),
        ("axon.io/allow-egress", "0.0.0.0/0"),
        ("axon.io/allow-egress", "10.0.0.0/8, *"),
    ] {
        let error = of(&[(key, value)]).unwrap_err().to_string();
        assert!(
            error.contains(&format!("annotation {key} of namespace team")),
            "{error}"
        );
    }
}

#[test]
fn a_policy_is_kept_repaired_or_left_to_its_administrator() {
    let wanted = policy("team", &Allow::default(), &["10.96.0.10".parse().unwrap()]);
    assert_eq!(plan(None, &wanted), Plan::Apply);
    let mut found = wanted.clone();
    found.spec.as_mut().unwrap().ingress = None;
    found.metadata.resource_version = Some("7".into());
    assert_eq!(plan(Some(&found), &wanted), Plan::Keep);
    assert_eq!(name_servers(&found).len(), 3);
    let again = policy("team", &Allow::default(), &name_servers(&found));
    assert_eq!(
        plan(Some(&found), &again),
        Plan::Keep,
        "built again from what is there"
    );

    type Change = fn(&mut NetworkPolicy);
    let changes: [Change; 5] = [
        |policy| policy.spec.as_mut().unwrap().egress = Some(vec![NetworkPolicyEgressRule::default()]),
        |policy| policy.spec.as_mut().unwrap().ingress = Some(vec![Default::default()]),
        |policy| policy.spec.as_mut().unwrap().policy_types = Some(vec!["Ingress".into()]),
        |policy| policy.spec.as_mut().unwrap().pod_selector = None,
        |policy| policy.metadata.labels = None,
    ];
    for change in changes {
        let mut drifted = found.clone();
        change(&mut drifted);
        assert_eq!(plan(Some(&drifted), &wanted), Plan::Apply);
        drifted.metadata.annotations = Some([(labels::MANAGED.to_owned(), "true".to_owned())].into());
        assert_eq!(plan(Some(&drifted), &wanted), Plan::Apply);
        drifted.metadata.annotations = Some([(labels::MANAGED.to_owned(), "false".to_owned())].into());
        assert_eq!(plan(Some(&drifted), &wanted), Plan::LeaveAlone);
    }
}

/// Networks in which no public host is, with those that carry an IPv4 address inside.
const PRIVATE: [&str; 16] = [
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "127.0.0.0/8",
    "0.0.0.0/8",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "fc00::/7",
    "fe80::/10",
    "ff00::/8",
    "::/96",
    "::ffff:0:0/96",
    "64:ff9b::a00:0/104",
    "2002::/16",
];

proptest! {
    #[test]
    fn no_private_address_is_reached_without_an_entry_for_it(
        network in 0..PRIVATE.len(),
        bits in any::<u128>(),
        port in 1..=u16::MAX,
        udp in any::<bool>(),
        opened in 1..=u16::MAX,
    ) {
        let network: IpNet = PRIVATE[network].parse().unwrap();
        let to = match network {
            IpNet::V4(net) => {
                let host = u32::from(net.hostmask()) & (bits as u32);
                IpAddr::from((u32::from(net.network()) | host).to_be_bytes())
            }
            IpNet::V6(net) => {
                let host = u128::from(net.hostmask()) & bits;
                IpAddr::from((u128::from(net.network()) | host).to_be_bytes())
            }
        };
        let policy = policy("team", &allow(&format!("public:{opened}")), &[]);
        let protocol = if udp { "UDP" } else { "TCP" };
        let is_dns = port == 53 && NODE_DNS.iter().any(|host| *host == format!("{to}/32"));
        prop_assert!(is_dns || !passes(&policy, to, protocol, port), "{to} {protocol} {port}");
    }

    #[test]
    fn no_list_opens_anything_but_what_it_names(text in "[0-9a-f.:/,public-]{0,40}") {
        let Ok(list) = Allow::parse(&text) else { return Ok(()) };
        let policy = policy("team", &list, &[]);
        for rule in policy.spec.as_ref().unwrap().egress.iter().flatten() {
            for peer in rule.to.iter().flatten() {
                let wide = peer.ip_block.as_ref().is_some_and(|b| b.cidr.ends_with("/0") && b.except.is_none());
                prop_assert!(!wide, "{text}");
            }
        }
    }
}
