//! Customers who trade while something is done to the network.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use stemma_chain_format::request::Side;
use stemma_node_api::types::{RequestState, RequestView};
use stemma_tools::requests::Prepared;
use tokio::task::JoinHandle;

use crate::books;
use crate::customer::Customer;

/// How long a customer waits before the bank is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// Customers at work.
#[derive(Debug)]
pub struct Load {
    tasks: Vec<JoinHandle<Record>>,
    is_stopped: Arc<AtomicBool>,
    committed: Arc<AtomicU64>,
    acknowledged: Arc<AtomicU64>,
}

/// What one customer did.
#[derive(Debug)]
pub struct Record {
    /// The customer.
    pub customer: Customer,
    /// The requests that the bank acknowledged, with its first answer.
    pub acknowledged: Vec<(Prepared, RequestView)>,
    /// Those that were sent without an answer coming back.
    pub unanswered: Vec<Prepared>,
}

impl Load {
    /// Starts customers who each give so many orders for one instrument, every order after the one before is final, in
    /// spite of a bank that is away.
    #[must_use]
    pub fn one_by_one(customers: Vec<Customer>, instrument: &'static str, orders: u64) -> Self {
        Self::start(customers, move |mut customer, load| async move {
            let mut acknowledged = Vec::new();
            for number in 0..orders {
                if load.is_stopped() {
                    break;
                }
                let order = order(&mut customer, instrument, number);
                let view = customer.finish(&order).await;
                load.count(&view);
                acknowledged.push((order, view));
            }
            Record { customer, acknowledged, unanswered: Vec::new() }
        })
    }

    /// Starts customers who each give up to so many orders without waiting for their end, and none a second time.
    #[must_use]
    pub fn all_at_once(customers: Vec<Customer>, instrument: &'static str, orders: u64) -> Self {
        Self::start(customers, move |mut customer, load| async move {
            let mut record = Record { customer: customer.clone(), acknowledged: Vec::new(), unanswered: Vec::new() };
            for number in 0..orders {
                if load.is_stopped() {
                    break;
                }
                let order = order(&mut customer, instrument, number);
                match customer.client.submit(&order.body, 0).await {
                    Ok(view) => {
                        load.count(&view);
                        record.acknowledged.push((order, view));
                    }
                    Err(_) => {
                        record.unanswered.push(order);
                        tokio::time::sleep(RETRY_PAUSE).await;
                    }
                }
            }
            record
        })
    }

    fn start<F>(customers: Vec<Customer>, act: impl Fn(Customer, Counts) -> F) -> Self
    where
        F: Future<Output = Record> + Send + 'static,
    {
        let is_stopped = Arc::new(AtomicBool::new(false));
        let (committed, acknowledged) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let counts = || Counts {
            is_stopped: Arc::clone(&is_stopped),
            committed: Arc::clone(&committed),
            acknowledged: Arc::clone(&acknowledged),
        };
        let tasks = customers.into_iter().map(|customer| tokio::spawn(act(customer, counts()))).collect();
        Self { tasks, is_stopped, committed, acknowledged }
    }

    /// How many orders were seen committed so far.
    #[must_use]
    pub fn committed(&self) -> u64 {
        self.committed.load(Ordering::Relaxed)
    }

    /// How many orders a bank has acknowledged so far.
    #[must_use]
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::Relaxed)
    }

    /// Whether all customers are done.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.tasks.iter().all(JoinHandle::is_finished)
    }

    /// Tells the customers to give no more orders.
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }

    /// Waits for the customers.
    ///
    /// # Panics
    /// One of them failed.
    pub async fn records(self) -> Vec<Record> {
        let mut records = Vec::new();
        for task in self.tasks {
            records.push(task.await.unwrap());
        }
        records
    }
}

struct Counts {
    is_stopped: Arc<AtomicBool>,
    committed: Arc<AtomicU64>,
    acknowledged: Arc<AtomicU64>,
}

impl Counts {
    fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }

    fn count(&self, view: &RequestView) {
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
        if view.state == RequestState::Committed {
            self.committed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Three purchases, then a sale, and so on: a customer always has what is sold.
fn order(customer: &mut Customer, instrument: &str, number: u64) -> Prepared {
    let side = if number % 4 == 3 { Side::Sell } else { Side::Buy };
    let quantity = 1 + i128::from(number % 3);
    let terms = customer.terms(side, instrument, if side == Side::Sell { 1 } else { quantity });
    customer.sign(terms)
}

impl Record {
    /// Follows every request to its end, and requires that what the bank acknowledged is there, that what it called
    /// committed still is, unchanged, and that the account holds what all of it together makes, each executed once.
    /// Returns how many were committed.
    ///
    /// # Panics
    /// Something of it does not hold.
    pub async fn must_hold(&self) -> usize {
        let mut committed = Vec::new();
        for (order, first) in &self.acknowledged {
            let last = self.customer.finish(order).await;
            if first.state.is_final() {
                assert_eq!(&last, first, "a final answer changed");
            }
            assert_eq!(self.customer.client.request(&first.request, 0).await.unwrap(), last);
            committed.extend((last.state == RequestState::Committed).then_some(last));
        }
        for order in &self.unanswered {
            // Sent again with the same bytes: whether it had arrived or not, it counts once.
            let last = self.customer.finish(order).await;
            committed.extend((last.state == RequestState::Committed).then_some(last));
        }
        books::must_follow(&self.customer, &committed).await;
        committed.len()
    }
}
