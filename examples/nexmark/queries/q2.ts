// Selection: bids for some auctions.
//   SELECT auction, price FROM bid WHERE MOD(auction, 123) = 0

import { defineJob } from "tidemark";

import { insert } from "../results.ts";
import { bids } from "../sources.ts";
import { options } from "./options.ts";

export const q2 = defineJob(
  "q2",
  (env) => {
    const some = bids(env)
      .filter(({ auction }) => auction % 123 === 0, { uid: "some" })
      .map(({ auction, price }) => ({ auction, price }), { uid: "prices" });
    insert(env, some);
  },
  options,
);
