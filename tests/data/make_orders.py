#!/usr/bin/env python3
"""Makes orders.csv from prices.csv and customers.csv, the same on every run: `python3 make_orders.py > orders.csv`.

It keeps each customer's cash and shares as the ledger will, so that an order that is not bad on purpose can be
executed. Each kind of bad order comes several times.
"""
import csv
import pathlib
import random

HERE = pathlib.Path(__file__).parent
ORDERS = 505
BAD_EVERY = 13
FEE_BASIS_POINTS = 10
BAD = [
    "unknown-instrument", "insufficient-cash", "insufficient-holdings", "price-outside-limit", "forged-signature",
    "repeated-counter", "unknown-customer", "no-price",
]


def read(name):
    with open(HERE / name, newline="") as file:
        return list(csv.DictReader(file))


def cents(text):
    whole, _, fraction = text.partition(".")
    return int(whole) * 100 + int((fraction + "00")[:2])


def money(amount):
    return f"{amount // 100}.{amount % 100:02}"


class Customer:
    def __init__(self, row):
        self.name, self.cash, self.shares, self.accepted = row["name"], cents(row["cash"]), {}, 0


def fee(amount):
    return -(-amount * FEE_BASIS_POINTS // 10_000)


def good(rng, customer, prices):
    """An order that can be executed, or none."""
    held = sorted(symbol for symbol, count in customer.shares.items() if count and symbol in prices)
    if held and rng.random() < 0.42:
        symbol = rng.choice(held)
        count = rng.randint(1, customer.shares[symbol]) if rng.random() < 0.7 else customer.shares[symbol]
        amount = count * prices[symbol]
        customer.shares[symbol] -= count
        customer.cash += amount - fee(amount)
        limit = money(prices[symbol] * 97 // 100) if rng.random() < 0.5 else ""
        side = "sell"
    else:
        symbol = rng.choice(sorted(prices))
        count = int(customer.cash * rng.uniform(0.05, 0.30)) // prices[symbol]
        amount = count * prices[symbol]
        if not count or amount + fee(amount) > customer.cash:
            return None
        customer.shares[symbol] = customer.shares.get(symbol, 0) + count
        customer.cash -= amount + fee(amount)
        limit = money(prices[symbol] * 103 // 100) if rng.random() < 0.5 else ""
        side = "buy"
    customer.accepted += 1
    return customer.name, side, symbol, count, limit, ""


def bad(rng, kind, customer, prices):
    """An order that must be refused, or none where this customer can't give it."""
    symbol = rng.choice(sorted(prices))
    price = prices[symbol]
    if kind == "unknown-instrument":
        return customer.name, "buy", rng.choice(["NOPE", "ENRN", "broker-b/AAPL"]), 5, "", ""
    if kind == "insufficient-cash":
        return customer.name, "buy", symbol, customer.cash // price + rng.randint(10, 500), "", ""
    if kind == "insufficient-holdings":
        return customer.name, "sell", symbol, customer.shares.get(symbol, 0) + rng.randint(1, 50), "", ""
    if kind == "price-outside-limit":
        if customer.cash < price * 2:
            return None
        return customer.name, "buy", symbol, 1, money(price * rng.randint(60, 95) // 100), ""
    if kind == "forged-signature":
        return customer.name, "buy", symbol, 1, "", "forged-signature"
    if kind == "repeated-counter":
        return (customer.name, "buy", symbol, 1, "", "repeated-counter") if customer.accepted else None
    if kind == "unknown-customer":
        return rng.choice(["mallory", "nobody", "oscar"]), "buy", symbol, 1, "", ""
    # GOOG is listed from the start and has no price before 2004-08.
    return (customer.name, "buy", "GOOG", 2, "", "") if "GOOG" not in prices else None


def main():
    rng = random.Random(20000101)
    days = {}
    for row in read("prices.csv"):
        days.setdefault(row["date"], {})[row["symbol"]] = cents(row["close"])
    dealt = {symbol: f"broker-{'ab'[at % 2]}" for at, symbol in enumerate(sorted({s for d in days.values() for s in d}))}
    customers = [Customer(row) for row in read("customers.csv")]
    print("date,customer,side,instrument,quantity,limit,fault")
    made, turn = 0, 0
    for at, day in enumerate(sorted(days)):
        while made < ORDERS * (at + 1) // len(days):
            customer, order = rng.choice(customers), None
            if made % BAD_EVERY == BAD_EVERY - 1:
                order = bad(rng, BAD[turn % len(BAD)], customer, days[day])
                turn += 1
            order = order or good(rng, customer, days[day])
            if order:
                name, side, symbol, count, limit, fault = order
                instrument = f"{dealt[symbol]}/{symbol}" if symbol in dealt else symbol
                print(",".join([day, name, side, instrument, str(count), limit, fault]))
                made += 1


if __name__ == "__main__":
    main()
