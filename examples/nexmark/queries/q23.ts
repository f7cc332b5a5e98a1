// Bids by people who have opened auctions, with both: one row for each bid and auction of a person.
//   SELECT B.bidder, B.price, B.channel, B.url, B.extra AS bid_extra,
//     P.id AS person_id, P.name, …, P.extra AS person_extra, A.itemName, …, A.extra AS auction_extra
//   FROM bid B JOIN person P ON P.id = B.bidder JOIN auction A ON A.seller = B.bidder

import { type DataStream, defineJob, listState, rows, valueState } from "tidemark";

import type { Auction, Bid, Person } from "../model.ts";
import { insert } from "../results.ts";
import { events } from "../sources.ts";
import { options } from "./options.ts";

interface Sale {
  readonly person: Person;
  readonly auction: Auction;
}

/** Auctions with those who sell. */
function salesOf(persons: DataStream<Person>, auctions: DataStream<Auction>): DataStream<Sale> {
  return auctions
    .keyBy("seller")
    .connect(persons.keyBy("id"))
    .process(
      {
        state: { person: valueState<Person>(), waiting: listState<Auction>() },
        emits: rows<Sale>(),
        processLeft(auction, { state, emit }) {
          const person = state.person.get();
          if (person === undefined) state.waiting.add(auction);
          else emit({ person, auction });
        },
        processRight(person, { state, emit }) {
          state.person.set(person);
          for (const auction of state.waiting.get()) emit({ person, auction });
          state.waiting.clear();
        },
      },
      { uid: "sales" },
    );
}

function expanded(
  { bidder, price, channel, url, extra: bid_extra }: Bid,
  { person, auction }: Sale,
) {
  const { id: person_id, dateTime: _, extra: person_extra, ...of } = person;
  const { id: __, dateTime: auction_dateTime, extra: auction_extra, ...item } = auction;
  const bid = { bidder, price, channel, url, bid_extra };
  return { ...bid, person_id, ...of, person_extra, ...item, auction_dateTime, auction_extra };
}

export const q23 = defineJob(
  "q23",
  (env) => {
    const { persons, auctions, bids } = events(env);
    const bidsOfSellers = bids
      .keyBy("bidder")
      .connect(salesOf(persons, auctions).keyBy(({ person }) => person.id))
      .process(
        {
          state: { bids: listState<Bid>(), sales: listState<Sale>() },
          emits: rows<ReturnType<typeof expanded>>(),
          processLeft(bid, { state, emit }) {
            state.bids.add(bid);
            for (const sale of state.sales.get()) emit(expanded(bid, sale));
          },
          processRight(sale, { state, emit }) {
            state.sales.add(sale);
            for (const bid of state.bids.get()) emit(expanded(bid, sale));
          },
        },
        { uid: "expanded" },
      );
    insert(env, bidsOfSellers);
  },
  options,
);
