// Currency conversion: prices in euros.
//   SELECT auction, bidder, 0.908 * price AS price, dateTime, extra FROM bid

import { defineJob } from "tidemark";

import { insert } from "../results.ts";
import { bids } from "../sources.ts";
import { options } from "./options.ts";

export const q1 = defineJob(
  "q1",
  (env) => {
    const inEuros = bids(env).map(
      ({ auction, bidder, price, dateTime, extra }) => ({
        auction,
        bidder,
        price: 0.908 * price,
        dateTime,
        extra,
      }),
      { uid: "in-euros" },
    );
    insert(env, inEuros);
  },
  options,
);
