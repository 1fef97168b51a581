//! Bundles of a block and of the whole ledger: good ones, and such as do not prove what they claim.

use stemma_chain_format::bundle::{Bundle, Element};
use stemma_chain_format::error::Rule;
use stemma_chain_format::hash::{AccountId, Digest, Link};
use stemma_chain_format::header::{Header, entries_root};

use crate::common::proofs::{ACCOUNT, BLOCK, IN_BLOCK, POSITION, VALIDATORS, entry_of, place};
use crate::common::{World, amount, cash_of, certify};
use crate::reject_bundle::Case;
use crate::vector::Vector;

pub fn vectors(world: &World) -> Vec<Vector> {
    let of_the_ledger = [of_the_ledger(world), of_its_entries(world), of_its_end(world)].concat();
    let stated = [of_stated_accounts(world), of_stated_positions(world)].concat();
    [accepted(world), of_a_block(world), of_the_ledger, stated].concat()
}

/// The last block that holds several entries, its place in the ledger.
fn full(world: &World) -> usize {
    usize::try_from(world.last_full_block().0.header.height).unwrap()
}

fn accepted(world: &World) -> Vec<Vector> {
    let accept = |name: &str, about: &str, subject: usize, bundle: Bundle| {
        let bytes = bundle.encode();
        let name = format!("bundle-{name}");
        Vector::accept(&name, ("verify", "bundle"), about, Digest::of(&bytes), &bytes).with("account", subject)
    };
    let height = full(world);
    let entries = world.blocks[height - 1].1.len();
    let mut empty = world.clone();
    empty.commit(Vec::new()).unwrap();
    let last = empty.blocks.len();
    vec![
        accept("block", "A block with its entries.", entries, world.block_bundle(height)),
        accept("block-empty", "A block without entries.", 0, empty.block_bundle(last)),
        accept("ledger", "The whole ledger.", world.blocks.len(), world.ledger_bundle()),
        accept("ledger-empty-block", "The whole ledger; its last block has no entry.", last, empty.ledger_bundle()),
    ]
}

fn of_a_block(world: &World) -> Vec<Vector> {
    let case = Case::on(world, world.block_bundle(full(world)));
    let root = (Rule::Block, "checkpoint.header.entries_root");
    let other = world.ledger_bundle().elements[0].clone();
    vec![
        case.reject("block-entry-dropped", "An entry is left out.", root, &|b| {
            b.elements.pop();
        }),
        case.reject("block-entries-swapped", "Two entries change places.", root, &|b| b.elements.swap(0, 1)),
        case.reject("block-entry-repeated", "An entry stands twice.", root, &|b| {
            b.elements.push(b.elements[0].clone())
        }),
        case.reject(
            "block-entry-flipped",
            "A bit of an entry's last signature.",
            (Rule::Signature, "entries[1].execution.signature"),
            &|b| flip(&mut b.elements[1]),
        ),
        case.reject("block-in-block", "A block in a block.", (Rule::Encoding, "elements"), &|b| {
            b.elements.insert(0, other.clone())
        }),
    ]
}

fn flip(element: &mut Element) {
    let bytes = entry_of(element);
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
}

/// Changes the header of the n-th block.
fn header(bundle: &mut Bundle, n: usize, change: impl Fn(&mut Header)) {
    let at = place(&bundle.elements, BLOCK, n);
    let Element::Block(header, _) = &mut bundle.elements[at] else { panic!("a block") };
    change(header);
}

/// Takes out the last entry of the n-th block, and says so.
fn shorten(bundle: &mut Bundle, n: usize) -> Vec<Link> {
    let at = place(&bundle.elements, BLOCK, n);
    let Element::Block(_, count) = &mut bundle.elements[at] else { panic!("a block") };
    *count -= 1;
    let count = usize::try_from(*count).unwrap();
    bundle.elements.remove(at + 1 + count);
    bundle.elements[at + 1..=at + count]
        .iter_mut()
        .map(|element| stemma_chain_format::chain::Entry::decode(entry_of(element)).unwrap().id())
        .collect()
}

fn of_the_ledger(world: &World) -> Vec<Vector> {
    let case = Case::on(world, world.ledger_bundle());
    let n = full(world) - 1;
    let at = |place: &str| format!("blocks[{n}].{place}");
    let block = |name: &str, about: &str, place: &str, change: &dyn Fn(&mut Bundle)| {
        case.reject(name, about, (Rule::Block, place), change)
    };
    vec![
        block("ledger-block-dropped", "A block is left out.", "blocks[1].header.height", &|b| {
            let (from, to) = (place(&b.elements, BLOCK, 1), place(&b.elements, BLOCK, 2));
            b.elements.drain(from..to);
        }),
        block("ledger-blocks-twice", "A block stands twice.", "blocks[1].header.height", &|b| {
            let (from, to) = (place(&b.elements, BLOCK, 0), place(&b.elements, BLOCK, 1));
            let again = b.elements[from..to].to_vec();
            b.elements.splice(to..to, again);
        }),
        block("ledger-parent", "A block names another parent.", &at("header.parent"), &|b| {
            header(b, n, |h| h.parent.0[0] ^= 1)
        }),
        block("ledger-time", "A block is no later than its parent.", &at("header.time_ms"), &|b| {
            header(b, n, |h| h.time_ms = world.blocks[n - 1].0.header.time_ms)
        }),
        block("ledger-accounts-root", "Another root of the accounts.", &at("header.accounts_root"), &|b| {
            header(b, n, |h| h.accounts_root.0[0] ^= 1)
        }),
        block("ledger-registry-root", "Another root of the registry.", &at("header.registry_root"), &|b| {
            header(b, n, |h| h.registry_root.0[0] ^= 1)
        }),
    ]
}

fn of_its_entries(world: &World) -> Vec<Vector> {
    let case = Case::on(world, world.ledger_bundle());
    let n = full(world) - 1;
    let at = |place: &str| format!("blocks[{n}].{place}");
    let block = |name: &str, about: &str, place: &str, change: &dyn Fn(&mut Bundle)| {
        case.reject(name, about, (Rule::Block, place), change)
    };
    vec![
        block("ledger-entry-dropped", "An entry is left out.", &at("header.entries_root"), &|b| {
            shorten(b, n);
        }),
        block(
            "ledger-entry-left-out",
            "An entry is left out, and its header agrees.",
            &at("header.accounts_root"),
            &|b| {
                let entries = shorten(b, n);
                header(b, n, |h| h.entries_root = entries_root(&entries));
            },
        ),
        block("ledger-entry-missing", "A block lacks an entry.", &format!("blocks[{n}]"), &|b| {
            let next = place(&b.elements, BLOCK, n + 1);
            b.elements.remove(next - 1);
        }),
        block(
            "ledger-entry-more",
            "A block has an entry more than it says.",
            &format!("blocks[{n}].entries[{}]", world.blocks[n].1.len()),
            &|b| {
                let next = place(&b.elements, BLOCK, n + 1);
                b.elements.insert(next, b.elements[next - 1].clone());
            },
        ),
        case.reject(
            "ledger-entry-repeated",
            "An entry stands twice in a block whose header agrees.",
            (Rule::Counter, &at(&format!("entries[{}].request.counter", world.blocks[n].1.len()))),
            &|b| {
                let (begin, next) = (place(&b.elements, BLOCK, n), place(&b.elements, BLOCK, n + 1));
                b.elements.insert(next, b.elements[next - 1].clone());
                let Element::Block(h, count) = &mut b.elements[begin] else { panic!("a block") };
                *count += 1;
                let mut entries = world.blocks[n].0.entries.clone();
                entries.push(*entries.last().unwrap());
                h.entries_root = entries_root(&entries);
            },
        ),
        case.reject(
            "ledger-entry-flipped",
            "A bit of an entry's last signature.",
            (Rule::Signature, &at("entries[1].execution.signature")),
            &|b| {
                let first = place(&b.elements, BLOCK, n) + 1;
                flip(&mut b.elements[first + 1]);
            },
        ),
    ]
}

fn of_its_end(world: &World) -> Vec<Vector> {
    let case = Case::on(world, world.ledger_bundle());
    let last = world.blocks.len() - 1;
    let block = |name: &str, about: &str, place: &str, change: &dyn Fn(&mut Bundle)| {
        case.reject(name, about, (Rule::Block, place), change)
    };
    let opening = world.bundle(world.customer("alice").account).elements[0].clone();
    vec![
        block("ledger-short", "The last block is left out.", "blocks", &|b| {
            let (from, to) = (place(&b.elements, BLOCK, last), place(&b.elements, ACCOUNT, 0));
            b.elements.drain(from..to);
        }),
        block("ledger-beyond", "The last block comes after the checkpoint.", &format!("blocks[{last}]"), &|b| {
            b.head.checkpoint = certify(&world.blocks[last - 1].0.header, &VALIDATORS);
            b.head.trust.retain(|step| step.header.header.height <= last as u64);
        }),
        case.reject(
            "ledger-other-end",
            "The last block is not the one that is certified.",
            (Rule::Certificate, &format!("blocks[{last}].header")),
            &|b| header(b, last, |h| h.time_ms += 1),
        ),
        block("ledger-nothing", "No element at all.", "blocks", &|b| b.elements.clear()),
        case.reject("ledger-lineage", "An element of a lineage.", (Rule::Encoding, "elements"), &|b| {
            b.elements.insert(0, opening.clone())
        }),
    ]
}

fn of_stated_accounts(world: &World) -> Vec<Vector> {
    let case = Case::on(world, world.ledger_bundle());
    let accounts = world.ledger.accounts().count();
    let alice = world.customer("alice").account;
    let alices = world.ledger.accounts().position(|a| a.state.account == alice).unwrap();
    let holdings = |name: &str, about: &str, place: &str, change: &dyn Fn(&mut Bundle)| {
        case.reject(name, about, (Rule::Holdings, place), change)
    };
    let stated = |b: &mut Bundle, change: &dyn Fn(&mut stemma_chain_format::account::AccountState)| {
        let at = place(&b.elements, ACCOUNT, alices);
        let Element::Account(state) = &mut b.elements[at] else { panic!("an account") };
        change(state);
    };
    let cash = format!("accounts[{alices}].holdings.{}", cash_of("bank-a"));
    vec![
        holdings("ledger-balance", "A balance off by one unit.", &cash, &|b| {
            stated(b, &|state| state.holdings.add(&cash_of("bank-a"), amount(1)).unwrap())
        }),
        holdings("ledger-account", "An account's sequence is one more.", &format!("accounts[{alices}]"), &|b| {
            stated(b, &|state| state.sequence += 1)
        }),
        holdings("ledger-account-dropped", "An account is left out.", "accounts[1].account", &|b| {
            b.elements.remove(place(&b.elements, ACCOUNT, 1));
        }),
        holdings(
            "ledger-accounts-short",
            "The last account is left out.",
            &format!("accounts[{}]", accounts - 1),
            &|b| {
                b.elements.remove(place(&b.elements, ACCOUNT, accounts - 1));
            },
        ),
        holdings("ledger-account-more", "An account stands twice.", &format!("accounts[{accounts}]"), &|b| {
            let at = place(&b.elements, ACCOUNT, accounts - 1);
            b.elements.insert(at, b.elements[at].clone());
        }),
    ]
}

fn of_stated_positions(world: &World) -> Vec<Vector> {
    let case = Case::on(world, world.ledger_bundle());
    let accounts = world.ledger.accounts().count();
    let holdings = |name: &str, about: &str, place: &str, change: &dyn Fn(&mut Bundle)| {
        case.reject(name, about, (Rule::Holdings, place), change)
    };
    vec![
        holdings("ledger-position", "A position stands on another record.", "positions[0].position", &|b| {
            let at = place(&b.elements, POSITION, 0);
            let Element::Position(_, position) = &mut b.elements[at] else { panic!("a position") };
            position.head.0[0] ^= 1;
        }),
        holdings("ledger-position-key", "A position under another key.", "positions[0].key", &|b| {
            let at = place(&b.elements, POSITION, 0);
            let Element::Position(key, _) = &mut b.elements[at] else { panic!("a position") };
            *key = AccountId([7; 32]);
        }),
        holdings("ledger-position-dropped", "The first position is left out.", "positions[0].key", &|b| {
            b.elements.remove(place(&b.elements, POSITION, 0));
        }),
        holdings("ledger-positions-none", "No position is stated.", "positions[0]", &|b| {
            b.elements.retain(|element| !matches!(element, Element::Position(..)))
        }),
        holdings(
            "ledger-position-more",
            "The last position stands twice.",
            &format!("positions[{}]", world.ledger.positions().count()),
            &|b| b.elements.push(b.elements.last().unwrap().clone()),
        ),
        holdings(
            "ledger-position-first",
            "A position stands before the last account.",
            &format!("accounts[{}]", accounts - 1),
            &|b| {
                let (account, position) = (place(&b.elements, ACCOUNT, accounts - 1), place(&b.elements, POSITION, 0));
                b.elements.swap(account, position);
            },
        ),
        case.reject(
            "ledger-entry-after-accounts",
            "An entry after the accounts.",
            (
                Rule::Block,
                &format!("blocks[{}].entries[{}]", world.blocks.len() - 1, world.blocks.last().unwrap().1.len()),
            ),
            &|b| {
                let entry = b.elements[place(&b.elements, IN_BLOCK, 0)].clone();
                b.elements.push(entry);
            },
        ),
    ]
}
