// Bids with what a bounded side input has for their auctions, looked up as they pass.
//   SELECT B.auction, B.bidder, B.price, B.dateTime, S.value FROM bid B
//     JOIN side_input FOR SYSTEM_TIME AS OF B.p_time AS S ON MOD(B.auction, 10000) = S.key

import { defineJob } from "tidemark";

import { insert } from "../results.ts";
import { lookUp, sideRows } from "../side-input.ts";
import { bids } from "../sources.ts";
import { options } from "./options.ts";

export const q13 = defineJob(
  "q13",
  (env) => {
    const enriched = bids(env, "auction", "bidder", "price", "dateTime").lookupJoin(
      {
        key: ({ auction }) => auction % sideRows,
        loadMany: lookUp,
        capacity: 1_000,
        cache: { size: sideRows },
      },
      (bid, value) => ({ ...bid, value }),
      { uid: "enriched" },
    );
    insert(env, enriched);
  },
  options,
);
