//! Acts of servicing that break a rule, trades that an account's state forbids, and announcements.

use stemma_chain_format::amount::Amount;
use stemma_chain_format::announcement::Announcement;
use stemma_chain_format::chain::EntryKind;
use stemma_chain_format::error::Rule;
use stemma_chain_format::hash::Link;
use stemma_chain_format::instruction::Instruction;
use stemma_chain_format::keys::PublicKey;
use stemma_chain_format::request::Side;
use stemma_chain_format::servicing::{Act, Servicing};

use crate::common::{Order, Plan, ServicePlan, World, amount, cash_of, entry_bytes, forge, id, key, member_key, terms};
use crate::servicing::announcement;
use crate::vector::Vector;

pub fn vectors(world: &World) -> Vec<Vector> {
    [ranges(world), stages(world), consents(world), lineages(world), statuses(world), trades(world), announced(world)]
        .concat()
}

fn act<'w>(world: &'w World, name: &'static str, act: Act) -> ServicePlan<'w> {
    ServicePlan::new(world, world.customer(name), act)
}

fn withdraw(world: &World, units: i128) -> ServicePlan<'_> {
    act(world, "bob", Act::Withdraw(cash_of("bank-a"), amount(units)))
}

fn reject(name: &str, step: &str, about: &str, broken: (Rule, &str), plan: &ServicePlan<'_>) -> Vector {
    Vector::reject(name, (step, "entry"), about, broken, &plan.bytes())
}

fn ranges(world: &World) -> Vec<Vector> {
    let instruction = |name: &str, about: &str, field: &str, change: fn(&mut Instruction)| {
        let bytes = withdraw(world, 5).instruction(change).stages()[0].clone();
        let field = format!("instruction.{field}");
        Vector::reject(&format!("instruction-{name}"), ("decode", "instruction"), about, (Rule::Range, &field), &bytes)
    };
    let servicing = |name: &str, about: &str, field: &str, change: fn(&mut Servicing)| {
        let bytes = act(world, "bob", Act::Freeze).servicing(change).stages()[0].clone();
        let field = format!("servicing.{field}");
        Vector::reject(&format!("servicing-{name}"), ("decode", "servicing"), about, (Rule::Range, &field), &bytes)
    };
    vec![
        instruction("counter-zero", "A counter of zero.", "counter", |i| i.counter = 0),
        instruction("freeze", "A customer asks for what only the bank decides.", "act", |i| i.act = Act::Freeze),
        instruction("no-identity", "Claims no identity.", "identities", |i| i.identities.clear()),
        instruction("negative", "Withdraws less than nothing.", "act.withdraw", |i| {
            i.act = Act::Withdraw(cash_of("bank-a"), amount(-5));
        }),
        servicing("sequence-zero", "A sequence of zero.", "sequence", |s| s.sequence = 0),
        servicing("withdraw-zero", "Withdraws nothing.", "act.withdraw", |s| {
            s.act = Act::Withdraw(cash_of("bank-a"), Amount::ZERO);
        }),
        servicing("withdraw-foreign", "Pays out another bank's cash.", "act.withdraw", |s| {
            s.act = Act::Withdraw(cash_of("bank-b"), amount(5));
        }),
        servicing("weak-key", "Binds a key of low order.", "act.bind-key", |s| {
            s.act = Act::BindKey(PublicKey([0; 32]));
        }),
        servicing("line-foreign", "A line in another bank's cash.", "act.set-credit.lines.bank-b/USD", |s| {
            s.act = Act::SetCredit(terms("bank-b", 1, 1, 5));
        }),
    ]
}

fn stages(world: &World) -> Vec<Vector> {
    let verify = |name: &str, about: &str, broken, plan: &ServicePlan<'_>| reject(name, "verify", about, broken, plan);
    let freeze = || act(world, "bob", Act::Freeze);
    let by_institution = freeze().signer(1, member_key("broker"));
    let by_another = freeze().signer(1, member_key("bank-b"));
    let unlinked = withdraw(world, 5).servicing(|s| s.instruction = None);
    let other = withdraw(world, 5).servicing(|s| s.instruction = Some(Link([9; 32])));
    let dangling = freeze().servicing(|s| s.instruction = Some(Link([9; 32])));
    let more = withdraw(world, 5).servicing(|s| s.act = Act::Withdraw(cash_of("bank-a"), amount(6)));
    let account = world.customer("alice").account;
    let elsewhere = withdraw(world, 5).instruction(move |i| i.account = account);
    let link = (Rule::Link, "servicing.instruction");
    let network = crate::common::founded("another network").network();
    let foreign = withdraw(world, 5).instruction(move |i| i.network = network);
    let forged = {
        let stages = withdraw(world, 5).stages();
        let instruction = crate::bytes::flipped(&stages[0], 40);
        let link = Link::of(&instruction);
        let relinked = withdraw(world, 5).servicing(move |s| s.instruction = Some(link));
        entry_bytes(EntryKind::Servicing, &[instruction, relinked.stages()[1].clone()])
    };
    let mut three = withdraw(world, 5).stages();
    three.push(three[1].clone());
    let three = entry_bytes(EntryKind::Servicing, &three);
    vec![
        verify("act-by-institution", "An institution freezes.", (Rule::Signer, "servicing.signer"), &by_institution),
        verify("act-by-another-bank", "Another bank freezes.", (Rule::Signer, "servicing.signer"), &by_another),
        verify("act-unlinked", "Leaves the link to its instruction out.", link, &unlinked),
        verify("act-other-link", "Links to another instruction.", link, &other),
        verify("act-dangling", "Links to an instruction that is not there.", link, &dangling),
        verify("act-more", "Pays out more than was asked.", (Rule::Agreement, "servicing.act"), &more),
        verify("act-elsewhere", "Takes from another account.", (Rule::Agreement, "servicing.account"), &elsewhere),
        verify("act-foreign-instruction", "Of another network.", (Rule::Network, "instruction.network"), &foreign),
        Vector::reject(
            "act-forged-instruction",
            ("verify", "entry"),
            "A bit of the instruction's signature is flipped.",
            (Rule::Signature, "instruction.signature"),
            &forged,
        ),
        Vector::reject(
            "instruction-no-bank",
            ("verify", "instruction"),
            "Its bank is none.",
            (Rule::Agreement, "instruction.bank"),
            &withdraw(world, 5)
                .instruction(|i| {
                    i.bank = id("broker");
                    i.act = Act::Close;
                })
                .stages()[0],
        ),
        Vector::reject(
            "servicing-three-stages",
            ("decode", "entry"),
            "Three stages.",
            (Rule::Encoding, "entry.stages"),
            &three,
        ),
    ]
}

fn consents(world: &World) -> Vec<Vector> {
    let broken = (Rule::Signer, "servicing.instruction");
    let new_key = Act::BindKey(PublicKey::of(&key("a new key")));
    let apply = |name: &str, about: &str, broken, plan: &ServicePlan<'_>| reject(name, "apply", about, broken, plan);
    let signer = (Rule::Signer, "instruction.signer");
    let counter = world.ledger.account(&world.customer("bob").account).unwrap().state.counter;
    let height = world.ledger.head().height;
    vec![
        apply("withdraw-unasked", "Pays out unasked.", broken, &withdraw(world, 5).instructed(false)),
        apply("bind-key-unasked", "Binds a key unasked.", broken, &act(world, "bob", new_key).instructed(false)),
        apply(
            "withdraw-asked-by-another",
            "Another customer asks.",
            signer,
            &withdraw(world, 5).signer(0, world.customer("alice").key()),
        ),
        apply(
            "withdraw-asked-by-bank",
            "The bank asks itself.",
            signer,
            &withdraw(world, 5).signer(0, member_key("bank-a")),
        ),
        apply(
            "withdraw-again",
            "An instruction's counter was used by a request.",
            (Rule::Counter, "instruction.counter"),
            &withdraw(world, 5).instruction(move |i| i.counter = counter),
        ),
        apply(
            "withdraw-expired",
            "An instruction past its expiry.",
            (Rule::Expiry, "instruction.expires"),
            &withdraw(world, 5).instruction(move |i| i.expires = Some(height)),
        ),
    ]
}

fn lineages(world: &World) -> Vec<Vector> {
    let apply = |name: &str, about: &str, broken, plan: &ServicePlan<'_>| reject(name, "apply", about, broken, plan);
    let freeze = |change: fn(&mut Servicing)| act(world, "alice", Act::Freeze).absorb(2).servicing(change);
    let nobody = ServicePlan::new(world, world.customer("bob"), Act::Freeze);
    let settlement = world.own("bank-a", stemma_chain_format::member::OwnAccount::Settlement);
    vec![
        apply(
            "act-parent",
            "Follows another than the head.",
            (Rule::Sequence, "servicing.parent"),
            &freeze(|s| {
                s.parent = Link([9; 32]);
            }),
        ),
        apply(
            "act-sequence",
            "Leaves a number out.",
            (Rule::Sequence, "servicing.sequence"),
            &freeze(|s| s.sequence += 1),
        ),
        apply(
            "act-credits",
            "Absorbs two credits in the wrong order.",
            (Rule::Credit, "servicing.absorbed[0]"),
            &freeze(|s| {
                s.absorbed.swap(0, 1);
            }),
        ),
        apply(
            "act-holdings",
            "States one unit of cash too many.",
            (Rule::Holdings, "servicing.holdings.bank-a/USD"),
            &freeze(|s| s.holdings.add(&cash_of("bank-a"), amount(1)).unwrap()),
        ),
        apply(
            "withdraw-beyond",
            "Pays out more than the account holds, within its credit line.",
            (Rule::Overdraft, "servicing.holdings.bank-a/USD"),
            &withdraw(world, 2_500_000),
        ),
        apply(
            "act-unknown-account",
            "Services an account that was never opened.",
            (Rule::Account, "servicing.account"),
            &nobody.servicing(|s| s.account = stemma_chain_format::hash::AccountId([5; 32])),
        ),
        apply(
            "act-own-account",
            "Services the bank's own account.",
            (Rule::Account, "servicing.account"),
            &act(world, "bob", Act::Freeze).servicing(move |s| s.account = settlement),
        ),
    ]
}

fn statuses(world: &World) -> Vec<Vector> {
    let case = |name: &str, about: &str, plan: &ServicePlan<'_>| {
        reject(&format!("act-{name}"), "apply", about, (Rule::Status, "servicing.act"), plan)
    };
    let cash = Act::Withdraw(cash_of("bank-a"), amount(5));
    let same_key = Act::BindKey(PublicKey::of(&world.customer("bob").key()));
    let revoked = act(world, "gina", cash.clone());
    vec![
        case("freeze-frozen", "Freezes a frozen account.", &act(world, "frida", Act::Freeze)),
        case("unfreeze-open", "Unfreezes an open one.", &act(world, "bob", Act::Unfreeze)),
        case("close-full", "Closes an account that holds something.", &act(world, "bob", Act::Close)),
        case(
            "close-waiting",
            "Closes an account for which a credit waits.",
            &act(world, "alice", Act::Close).servicing(|s| s.absorbed.clear()),
        ),
        case("close-closed", "Closes a closed one.", &act(world, "hugo", Act::Close)),
        case("unfreeze-closed", "Unfreezes a closed one.", &act(world, "hugo", Act::Unfreeze)),
        case("withdraw-frozen", "Pays out of a frozen one.", &act(world, "frida", cash)),
        case("bind-same-key", "Binds the key that is bound.", &act(world, "bob", same_key)),
        case("revoke-revoked", "Revokes a revoked key.", &act(world, "gina", Act::RevokeKey)),
        reject(
            "withdraw-revoked",
            "apply",
            "The old key asks after it was revoked.",
            (Rule::Status, "instruction.signer"),
            &revoked,
        ),
    ]
}

/// Trades that the account's state forbids.
fn trades(world: &World) -> Vec<Vector> {
    let order = |name| Order { fee: 0, ..Order::new(world.customer(name), "fund-house", Side::Buy) };
    let lent = |name| {
        // The account is empty; a line that is not its own would pay for it.
        Plan::new(world, order(name)).endorsement(|e| e.credit = terms("bank-a", 3, 1, 1_000_000_000))
    };
    let case = |name: &str, about: &str, broken, plan: &Plan<'_>| {
        Vector::reject(name, ("apply", "entry"), about, broken, &plan.bytes())
    };
    let rewarded = Order { reward: Some((world.customer("hugo"), 3)), ..order("alice") };
    vec![
        case("trade-frozen", "A frozen account trades.", (Rule::Status, "endorsement.account"), &lent("frida")),
        case("trade-closed", "A closed account trades.", (Rule::Status, "endorsement.account"), &lent("hugo")),
        case("trade-revoked", "A revoked key signs.", (Rule::Status, "request.signer"), &lent("gina")),
        case(
            "trade-other-terms",
            "The bank states a higher level than the account's.",
            (Rule::Agreement, "endorsement.credit"),
            &Plan::new(world, order("bob")).endorsement(|e| e.credit.level += 1),
        ),
        case(
            "credit-to-closed",
            "A closed account is rewarded.",
            (Rule::Status, "credit.account"),
            &Plan::new(world, rewarded),
        ),
    ]
}

fn announced(world: &World) -> Vec<Vector> {
    let case = |name: &str, step: &str, about: &str, broken, signer: &str, change: fn(&mut Announcement)| {
        let mut record = announcement(world);
        change(&mut record);
        let bytes = forge(&record, &member_key(signer));
        Vector::reject(&format!("announcement-{name}"), (step, "announcement"), about, broken, &bytes)
    };
    let names = (Rule::Range, "announcement.paths.name");
    vec![
        case("name", "decode", "A path's name in capitals.", names, "broker", |a| a.paths[0].name = "Fibre".to_owned()),
        case("name-twice", "decode", "Two paths of one name.", names, "broker", |a| {
            a.paths[1].name = a.paths[0].name.clone();
        }),
        case("nine", "decode", "Nine paths.", (Rule::Range, "announcement.paths"), "broker", |a| {
            a.paths = vec![a.paths[0].clone(); 9];
        }),
        case(
            "by-another",
            "verify",
            "Another member signs.",
            (Rule::Signer, "announcement.signer"),
            "fund-house",
            |_| (),
        ),
        case("nobody", "verify", "Of no member.", (Rule::Signer, "announcement.member"), "broker", |a| {
            a.member = id("nobody")
        }),
    ]
}
