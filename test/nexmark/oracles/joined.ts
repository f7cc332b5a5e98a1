// Queries that put bids, auctions and persons together.

import type { Auction, Bid } from "../../../examples/nexmark/model.ts";
import { groupedBy, type House, type Oracle } from "./house.ts";

export const q3: Oracle = ({ persons, auctions }) => {
  const sellers = new Map(persons.map((person) => [person.id, person]));
  return auctions.flatMap(({ id, category, seller }) => {
    const person = sellers.get(seller);
    if (category !== 10 || person === undefined) return [];
    const { name, city, state } = person;
    return state === "OR" || state === "ID" || state === "CA" ? [{ name, city, state, id }] : [];
  });
};

export const q13: Oracle = ({ bids }) =>
  bids.map(({ auction, bidder, price, dateTime }) => {
    const value = String(auction % 10_000);
    return { auction, bidder, price, dateTime, value };
  });

/** The bids of each auction while it was on, the winning one first. */
function won({ auctions, bids }: House): { auction: Auction; best: Bid }[] {
  const bidsOf = groupedBy(bids, ({ auction }) => auction);
  return auctions.flatMap((auction) => {
    let best: Bid | undefined;
    for (const bid of bidsOf.get(auction.id) ?? []) {
      if (bid.dateTime < auction.dateTime || bid.dateTime > auction.expires) continue;
      if (best === undefined || comesBefore(bid, best)) best = bid;
    }
    return best === undefined ? [] : [{ auction, best }];
  });
}

function comesBefore(one: Bid, other: Bid): boolean {
  const by = [
    other.price - one.price,
    one.dateTime - other.dateTime,
    one.bidder - other.bidder,
    one.extra < other.extra ? -1 : 1,
  ];
  return by.find((difference) => difference !== 0)! < 0;
}

export const q4: Oracle = (house) =>
  Array.from(
    groupedBy(won(house), ({ auction }) => auction.category),
    ([category, own]) => {
      const total = own.reduce((sum, { best }) => sum + best.price, 0);
      return { category, avg: total / own.length };
    },
  );

export const q9: Oracle = (house) =>
  won(house).map(({ auction, best }) => ({
    ...auction,
    auction: best.auction,
    bidder: best.bidder,
    price: best.price,
    bid_dateTime: best.dateTime,
    bid_extra: best.extra,
  }));

export const q20: Oracle = ({ auctions, bids }) => {
  const known = new Map(auctions.map((auction) => [auction.id, auction]));
  const found: object[] = [];
  for (const bid of bids) {
    const auction = known.get(bid.auction);
    if (auction?.category !== 10) continue;
    found.push({
      auction: bid.auction,
      bidder: bid.bidder,
      price: bid.price,
      channel: bid.channel,
      url: bid.url,
      bid_dateTime: bid.dateTime,
      bid_extra: bid.extra,
      itemName: auction.itemName,
      description: auction.description,
      initialBid: auction.initialBid,
      reserve: auction.reserve,
      auction_dateTime: auction.dateTime,
      expires: auction.expires,
      seller: auction.seller,
      category: auction.category,
      auction_extra: auction.extra,
    });
  }
  return found;
};

export const q23: Oracle = ({ persons, auctions, bids }) => {
  const known = new Map(persons.map((person) => [person.id, person]));
  const sold = groupedBy(auctions, ({ seller }) => seller);
  const found: object[] = [];
  for (const { bidder, price, channel, url, extra } of bids) {
    const person = known.get(bidder);
    if (person === undefined) continue;
    for (const auction of sold.get(bidder) ?? []) {
      found.push({
        bidder,
        price,
        channel,
        url,
        bid_extra: extra,
        person_id: person.id,
        name: person.name,
        emailAddress: person.emailAddress,
        creditCard: person.creditCard,
        city: person.city,
        state: person.state,
        person_extra: person.extra,
        itemName: auction.itemName,
        description: auction.description,
        initialBid: auction.initialBid,
        reserve: auction.reserve,
        auction_dateTime: auction.dateTime,
        expires: auction.expires,
        seller: auction.seller,
        category: auction.category,
        auction_extra: auction.extra,
      });
    }
  }
  return found;
};
