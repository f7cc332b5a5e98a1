// The ten highest bids for each auction.
//   SELECT * FROM (
//     SELECT *, ROW_NUMBER() OVER (PARTITION BY auction ORDER BY price DESC) AS rank_number FROM bid)
//   WHERE rank_number <= 10

import { defineJob, rows, valueState } from "tidemark";

import type { Bid } from "../model.ts";
import { upsert } from "../results.ts";
import { bids } from "../sources.ts";
import { options } from "./options.ts";

const most = 10;

/** Of two bids of the same price, which SQL leaves open, the earlier. */
function isHigher(left: Bid, right: Bid): boolean {
  if (left.price !== right.price) return left.price > right.price;
  if (left.dateTime !== right.dateTime) return left.dateTime < right.dateTime;
  return left.bidder !== right.bidder ? left.bidder < right.bidder : left.extra < right.extra;
}

export const q19 = defineJob(
  "q19",
  (env) => {
    const ranked = bids(env)
      .keyBy("auction")
      .process(
        {
          state: { top: valueState<readonly Bid[]>({ default: [] }) },
          emits: rows<Bid & { readonly rank_number: number }>(),
          process(bid, { state, emit }) {
            const top = state.top.get();
            const place = top.findIndex((held) => isHigher(bid, held));
            if (place < 0 && top.length === most) return;
            const next = top.toSpliced(place < 0 ? top.length : place, 0, bid).slice(0, most);
            state.top.set(next);
            // All behind it have moved down.
            for (let at = place < 0 ? top.length : place; at < next.length; at++) {
              emit({ ...next[at]!, rank_number: at + 1 });
            }
          },
        },
        { uid: "ranked" },
      );
    upsert(env, ranked, ({ auction, rank_number }) => [auction, rank_number]);
  },
  options,
);
