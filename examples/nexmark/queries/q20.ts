// Bids with the auctions they are for, of a category.
//   SELECT B.auction, B.bidder, B.price, B.channel, B.url, B.dateTime AS bid_dateTime,
//     B.extra AS bid_extra, A.itemName, …, A.category, A.extra AS auction_extra
//   FROM bid B JOIN auction A ON B.auction = A.id WHERE A.category = 10

import { defineJob, listState, rows, valueState } from "tidemark";

import type { Auction, Bid } from "../model.ts";
import { insert } from "../results.ts";
import { events } from "../sources.ts";
import { options } from "./options.ts";

const expanded = ({ dateTime: bid_dateTime, extra: bid_extra, ...bid }: Bid, auction: Auction) => {
  const { id: _, dateTime: auction_dateTime, extra: auction_extra, ...item } = auction;
  return { ...bid, bid_dateTime, bid_extra, ...item, auction_dateTime, auction_extra };
};

export const q20 = defineJob(
  "q20",
  (env) => {
    const { auctions, bids } = events(env);
    const bidsWithAuctions = bids
      .keyBy("auction")
      .connect(auctions.keyBy("id"))
      .process(
        {
          state: { auction: valueState<Auction>(), waiting: listState<Bid>() },
          emits: rows<ReturnType<typeof expanded>>(),
          processLeft(bid, { state, emit }) {
            const auction = state.auction.get();
            if (auction === undefined) state.waiting.add(bid);
            else if (auction.category === 10) emit(expanded(bid, auction));
          },
          processRight(auction, { state, emit }) {
            state.auction.set(auction);
            if (auction.category === 10) {
              for (const bid of state.waiting.get()) emit(expanded(bid, auction));
            }
            state.waiting.clear();
          },
        },
        { uid: "expanded" },
      );
    insert(env, bidsWithAuctions);
  },
  options,
);
