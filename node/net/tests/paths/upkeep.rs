//! Who may use a path, how paths come and go, and what never goes by one.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_are_refused_on_paths_and_over_the_relay() {
    let mut relay = config(RELAY, &[TCP], &[TCP], vec![peer(INSTITUTION, vec![]), peer(STRANGER, vec![])]);
    relay.relay = true;
    let (relay, events) = stemma_net::start(relay).await.unwrap();
    ignore(events);
    let relay_path = relay.path_listen_addresses()[0].clone();
    let reserved = circuit(&relay_path).to_string();
    let members = vec![peer(RELAY, relay.listen_addresses())];
    let institution = config(INSTITUTION, &[TCP], &[TCP, QUIC, WEBSOCKET, &reserved], members);
    let (institution, mut events) = stemma_net::start(institution).await.unwrap();
    eventually("the relay has us", || institution.path_listen_addresses().len() == 4).await;
    let id = institution.local_peer_id();

    // The relay knows the stranger, the institution does not.
    let members = vec![peer(INSTITUTION, vec![]), peer(RELAY, relay.listen_addresses())];
    let (stranger, stranger_events) = stemma_net::start(config(STRANGER, &[], &[], members)).await.unwrap();
    ignore(stranger_events);
    let at = institution.path_listen_addresses();
    let named: Vec<PathAddress> = at[..3].iter().enumerate().map(|(n, at)| path(&n.to_string(), at.clone())).collect();
    for one in named.into_iter().chain([path("relay", circuit(&relay_path))]) {
        let before = institution.stats().strangers_refused;
        let name = one.name.clone();
        stranger.set_paths(id, vec![one]).await.unwrap();
        eventually(&format!("{name} is refused twice"), || institution.stats().strangers_refused >= before + 2).await;
        let asked = stranger.request(id, Protocol::Trade, vec![1]).await;
        assert!(matches!(asked, Err(RequestError::NotConnected | RequestError::ConnectionClosed)), "{asked:?}");
    }
    stranger.shutdown().await;
    while let Ok(event) = events.try_recv() {
        assert!(!matches!(event, NetEvent::Request { .. }), "{event:?}");
    }

    // Whom the relay does not know it does not serve.
    let members = vec![peer(INSTITUTION, vec![]), peer(RELAY, relay.listen_addresses())];
    let (unknown, unknown_events) = stemma_net::start(config(STRANGER + 1, &[], &[], members)).await.unwrap();
    ignore(unknown_events);
    let before = (institution.stats().strangers_refused, relay.stats().strangers_refused);
    unknown.set_paths(id, vec![path("relay", circuit(&relay_path))]).await.unwrap();
    eventually("the relay refuses it", || relay.stats().strangers_refused >= before.1 + 3).await;
    assert_eq!(institution.stats().strangers_refused, before.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_announcement_arrives_and_changes() {
    let (left, mut heard) =
        stemma_net::start(config(BANK, &[TCP], &[TCP], vec![peer(INSTITUTION, vec![])])).await.unwrap();
    let members = vec![peer(BANK, left.listen_addresses())];
    let (right, events) = stemma_net::start(config(INSTITUTION, &[], &[], members.clone())).await.unwrap();
    ignore(events);
    let over = right.set_announcement(vec![0; 4097]).await;
    assert_eq!(over, Err(SendError::TooLarge { size: 4097, limit: 4096 }));
    let mut next = async || {
        loop {
            let event = timeout(PATIENCE, heard.recv()).await.expect("no announcement").unwrap();
            if let NetEvent::Announced { peer, data } = event {
                assert_eq!(peer, id(INSTITUTION));
                return data;
            }
        }
    };
    for data in [vec![1; 4096], vec![2], vec![]] {
        right.set_announcement(data.clone()).await.unwrap();
        assert_eq!(next().await, data);
    }
    // Said before a connection it is heard with it, and paths add nothing.
    right.shutdown().await;
    let (right, events) = stemma_net::start(config(INSTITUTION, &[], &[], Vec::new())).await.unwrap();
    ignore(events);
    right.set_announcement(vec![3]).await.unwrap();
    right.set_peers(&members).await.unwrap();
    right.set_paths(id(BANK), vec![path("a", left.path_listen_addresses()[0].clone())]).await.unwrap();
    assert_eq!(next().await, [3]);
    is_up(&right, id(BANK), &["main", "a"]).await;
    right.set_announcement(vec![4]).await.unwrap();
    assert_eq!(next().await, [4]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_restarts_is_used_again() {
    let start_relay = async |listen: &str, path_listen: &str| loop {
        let members = vec![peer(BANK, vec![]), peer(INSTITUTION, vec![])];
        let mut relay = config(RELAY, &[listen], &[path_listen], members);
        relay.relay = true;
        match stemma_net::start(relay).await {
            Ok((net, events)) => {
                ignore(events);
                return net;
            }
            // The system may hold the port for a moment.
            Err(NetError::Listen { .. }) => tokio::time::sleep(ms(20)).await,
            Err(error) => panic!("{error:?}"),
        }
    };
    let relay = start_relay(TCP, TCP).await;
    let (at, path_at) = (relay.listen_addresses()[0].clone(), relay.path_listen_addresses()[0].clone());
    relay.shutdown().await;

    // It is not there yet: no error, it is waited for.
    let reserved = circuit(&path_at).to_string();
    let members = vec![peer(BANK, vec![]), peer(RELAY, vec![at.clone()])];
    let (institution, events) = stemma_net::start(config(INSTITUTION, &[TCP], &[&reserved], members)).await.unwrap();
    let seen = serve(&institution, events, Duration::ZERO);
    let id = institution.local_peer_id();
    // The institution cannot be dialled but through the relay.
    let members = vec![peer(INSTITUTION, vec![]), peer(RELAY, vec![at.clone()])];
    let (bank, events) = stemma_net::start(config(BANK, &[], &[], members)).await.unwrap();
    ignore(events);
    bank.set_paths(id, vec![path("relay", circuit(&path_at))]).await.unwrap();
    for round in 1..=2_u8 {
        let relay = start_relay(&at.to_string(), &path_at.to_string()).await;
        is_up(&bank, id, &["relay"]).await;
        // Without any main connection.
        assert!(bank.connected().iter().all(|peer| *peer != id));
        for n in 0..50 {
            assert_eq!(bank.request(id, Protocol::Trade, vec![round, n]).await.unwrap(), [round, n]);
        }
        relay.shutdown().await;
        eventually("the path is gone", || report(&bank, id, "relay").is_some_and(|path| path.state != PathState::Up))
            .await;
    }
    assert_eq!(seen.lock().unwrap().len(), 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_circuit_outlives_the_limits_of_public_relays() {
    let net = four([200, 200, 200, 200, 5], Duration::ZERO).await;
    eventually("the relay is the best", || best(&net.bank, net.id()) == "relay").await;
    // Default relays end a circuit after 128 KiB.
    net.ask(0, 64, 4, 64 << 10).await;
    let relay = report(&net.bank, net.id(), "relay").unwrap();
    assert_eq!((relay.state, relay.failed), (PathState::Up, 0), "{relay:?}");
    net.assert_each_delivered_once(64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paths_are_closed_when_removed_and_wrong_ones_change_nothing() {
    let (institution, events) =
        stemma_net::start(config(INSTITUTION, &[TCP], &[TCP, QUIC], vec![peer(BANK, vec![])])).await.unwrap();
    let _seen = serve(&institution, events, Duration::ZERO);
    let members = vec![peer(INSTITUTION, institution.listen_addresses())];
    let (bank, events) = stemma_net::start(config(BANK, &[], &[], members)).await.unwrap();
    ignore(events);
    let (id, at) = (institution.local_peer_id(), institution.path_listen_addresses());
    bank.set_paths(id, vec![path("a", at[0].clone()), path("b", at[1].clone())]).await.unwrap();
    is_up(&bank, id, &["main", "a", "b"]).await;
    let from_bank = id_of(&bank);
    is_up(&institution, from_bank, &["main", "from peer: a", "from peer: b"]).await;

    let dns = path("c", "/dns4/example.org/tcp/1".parse().unwrap());
    let refused = bank.set_paths(id, vec![dns]).await;
    assert!(matches!(refused, Err(PathError::UnsupportedAddress(_))), "{refused:?}");
    let unknown = bank.set_paths(self::id(STRANGER), vec![path("a", at[0].clone())]).await;
    assert!(matches!(unknown, Err(PathError::UnknownPeer)), "{unknown:?}");
    is_up(&bank, id, &["main", "a", "b"]).await;

    bank.set_paths(id, vec![path("b", at[1].clone())]).await.unwrap();
    eventually("a is gone on both sides", || {
        report(&bank, id, "a").is_none() && report(&institution, from_bank, "from peer: a").is_none()
    })
    .await;
    is_up(&bank, id, &["main", "b"]).await;
    assert_eq!(report(&bank, id, "b").unwrap().failed, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paths_are_known_on_listeners_of_all_addresses() {
    let any = ["/ip4/0.0.0.0/tcp/0", "/ip4/0.0.0.0/udp/0/quic-v1", "/ip4/0.0.0.0/tcp/0/ws"];
    let (institution, events) =
        stemma_net::start(config(INSTITUTION, &any[..2], &any, vec![peer(BANK, vec![])])).await.unwrap();
    let _seen = serve(&institution, events, Duration::ZERO);
    let local = |all: Vec<Multiaddr>, part: &str| {
        let fits = |address: &&Multiaddr| address.to_string().starts_with("/ip4/127.0.0.1/") && kind(address) == part;
        all.iter().find(fits).cloned()
    };
    for main in ["tcp", "quic-v1"] {
        let found = || {
            let paths = ["tcp", "quic-v1", "ws"].map(|part| local(institution.path_listen_addresses(), part));
            (local(institution.listen_addresses(), main), paths)
        };
        eventually("the system says on which addresses", || {
            found().0.is_some() && found().1.iter().all(Option::is_some)
        })
        .await;
        let (main, [tcp, quic, websocket]) = found();
        let members = vec![peer(INSTITUTION, vec![main.unwrap()])];
        let (bank, events) = stemma_net::start(config(BANK, &[], &[], members)).await.unwrap();
        ignore(events);
        let id = institution.local_peer_id();
        let paths = [("tcp", tcp), ("quic", quic), ("ws", websocket)].map(|(name, at)| path(name, at.unwrap()));
        bank.set_paths(id, paths.into()).await.unwrap();
        is_up(&bank, id, &["main", "tcp", "quic", "ws"]).await;
        assert_eq!(bank.connected(), [id]);
        bank.shutdown().await;
        eventually("the institution knows", || institution.connected().is_empty()).await;
    }
}

fn kind(address: &Multiaddr) -> &'static str {
    match address.to_string() {
        text if text.ends_with("/ws") => "ws",
        text if text.ends_with("/quic-v1") => "quic-v1",
        _ => "tcp",
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_path_to_a_main_listener_is_closed_and_harms_nothing() {
    for listen in [TCP, QUIC] {
        let (institution, events) =
            stemma_net::start(config(INSTITUTION, &[listen], &[listen], vec![peer(BANK, vec![])])).await.unwrap();
        let _seen = serve(&institution, events, Duration::ZERO);
        let at = institution.listen_addresses();
        // And the reverse: a main connection to a path listener.
        let paths = institution.path_listen_addresses();
        let (bank, mut events) =
            stemma_net::start(config(BANK, &[], &[], vec![peer(INSTITUTION, at.clone())])).await.unwrap();
        let id = institution.local_peer_id();
        is_up(&bank, id, &["main"]).await;
        eventually("connected", || bank.connected() == [id]).await;
        bank.set_paths(id, vec![path("wrong", at[0].clone())]).await.unwrap();
        for n in 0..100_u8 {
            assert_eq!(bank.request(id, Protocol::Trade, vec![n]).await.unwrap(), [n]);
            tokio::time::sleep(ms(10)).await;
        }
        assert_eq!(report(&bank, id, "main").unwrap().failed, 0);
        assert_ne!(report(&bank, id, "wrong").unwrap().state, PathState::Up);
        let mut lost = false;
        while let Ok(event) = events.try_recv() {
            lost |= matches!(event, NetEvent::Disconnected { .. });
        }
        assert!(!lost, "the main connection was lost");
        bank.shutdown().await;
        let (bank, events) = stemma_net::start(config(BANK, &[], &[], vec![peer(INSTITUTION, paths)])).await.unwrap();
        ignore(events);
        tokio::time::sleep(ms(500)).await;
        assert!(bank.connected().is_empty());
    }
}

fn id_of(net: &NetHandle) -> PeerId {
    net.local_peer_id()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gossip_and_the_other_protocols_keep_to_the_main_connection() {
    let (institution, mut events) =
        stemma_net::start(config(INSTITUTION, &[TCP], &[TCP], vec![peer(BANK, vec![])])).await.unwrap();
    let (id, at) = (institution.local_peer_id(), institution.path_listen_addresses());
    let main_at = &institution.listen_addresses()[0];
    let main = Proxy::tcp(socket(main_at), Link::default()).await.unwrap();
    let members = vec![peer(INSTITUTION, vec![by(&main, main_at)])];
    let (bank, mut bank_events) = stemma_net::start(config(BANK, &[], &[], members)).await.unwrap();
    bank.set_paths(id, vec![path("a", at[0].clone())]).await.unwrap();
    is_up(&bank, id, &["main", "a"]).await;
    // The main connection stands still: what is gossiped waits, although a path is open.
    main.cut();
    bank.publish(Topic::Heads, vec![1]).await.unwrap();
    let sync = {
        let bank = bank.clone();
        tokio::spawn(async move { bank.request(id, Protocol::Sync, vec![2]).await })
    };
    eventually("the main path is suspect", || report(&bank, id, "main").unwrap().state == PathState::Suspect).await;
    let trade = {
        let bank = bank.clone();
        tokio::spawn(async move { bank.request(id, Protocol::Trade, vec![3]).await })
    };
    loop {
        match timeout(PATIENCE, events.recv()).await.unwrap().unwrap() {
            NetEvent::Request { protocol: Protocol::Trade, data, reply, .. } => break reply.send(data).unwrap(),
            NetEvent::Connected { .. } => {}
            other => panic!("came by a path: {other:?}"),
        }
    }
    assert_eq!(trade.await.unwrap().unwrap(), [3]);
    main.heal();
    let mut left = 2;
    while left > 0 {
        match timeout(PATIENCE, events.recv()).await.unwrap().unwrap() {
            NetEvent::Gossip { data, .. } => assert_eq!(data, [1]),
            NetEvent::Request { protocol: Protocol::Sync, data, reply, .. } => reply.send(data).unwrap(),
            other => panic!("unexpected {other:?}"),
        }
        left -= 1;
    }
    assert_eq!(sync.await.unwrap().unwrap(), [2]);
    // A lost main connection is a lost member, whatever its paths.
    main.cut();
    main.reset();
    loop {
        if let NetEvent::Disconnected { peer } = timeout(PATIENCE, bank_events.recv()).await.unwrap().unwrap() {
            break assert_eq!(peer, id);
        }
    }
    assert!(bank.connected().is_empty());
    let trade = tokio::spawn(async move { bank.request(id, Protocol::Trade, vec![4]).await });
    let answer = loop {
        if let NetEvent::Request { data, reply, .. } = timeout(PATIENCE, events.recv()).await.unwrap().unwrap() {
            reply.send(data).unwrap();
            break trade.await.unwrap().unwrap();
        }
    };
    assert_eq!(answer, [4]);
}
