// Parts of addresses.
//   SELECT auction, bidder, price, channel, SPLIT_INDEX(url, '/', 3) AS dir1,
//     SPLIT_INDEX(url, '/', 4) AS dir2, SPLIT_INDEX(url, '/', 5) AS dir3 FROM bid

import { defineJob } from "tidemark";

import { insert } from "../results.ts";
import { bids } from "../sources.ts";
import { options } from "./options.ts";

export const q22 = defineJob(
  "q22",
  (env) => {
    const split = bids(env).map(
      ({ auction, bidder, price, channel, url }) => {
        const [, , , dir1 = "", dir2 = "", dir3 = ""] = url.split("/");
        return { auction, bidder, price, channel, dir1, dir2, dir3 };
      },
      { uid: "split" },
    );
    insert(env, split);
  },
  options,
);
