// Bids that are made while their auction is on, with that auction: what q4 and q9 have in common. A bid
// may come before its auction, as the two are on different ways; it is kept for as long as one can last.

import { type DataStream, listState, rows, valueState } from "tidemark";

import type { Auction, Bid } from "../model.ts";

/** @param both what is made of an auction and a bid */
export function validBids<R>(
  auctions: DataStream<Auction>,
  bids: DataStream<Bid>,
  both: (auction: Auction, bid: Bid) => R,
): DataStream<R> {
  return bids
    .keyBy("auction")
    .connect(auctions.keyBy("id"))
    .process(
      {
        state: { auction: valueState<Auction>(), waiting: listState<Bid>() },
        emits: rows<R>(),
        processLeft(bid, { state, timers, emit }) {
          const auction = state.auction.get();
          if (auction === undefined) {
            state.waiting.add(bid);
            // No auction that this bid is for can come once event time is past it.
            timers.registerEventTime(bid.dateTime);
          } else if (isOn(auction, bid)) emit(both(auction, bid));
        },
        processRight(auction, { state, timers, emit }) {
          state.auction.set(auction);
          timers.registerEventTime(auction.expires);
          for (const bid of state.waiting.get()) if (isOn(auction, bid)) emit(both(auction, bid));
          state.waiting.clear();
        },
        onTimer(time, { state }) {
          const waiting = state.waiting.get().filter(({ dateTime }) => dateTime > time);
          state.waiting.update(waiting);
          if ((state.auction.get()?.expires ?? Infinity) <= time) state.auction.clear();
        },
      },
      { uid: "valid-bids" },
    );
}

const isOn = (auction: Auction, bid: Bid): boolean =>
  bid.dateTime >= auction.dateTime && bid.dateTime <= auction.expires;
