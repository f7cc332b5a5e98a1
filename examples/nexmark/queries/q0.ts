// Pass through: what reading and writing cost.
//   SELECT auction, bidder, price, dateTime, extra FROM bid

import { defineJob } from "tidemark";

import { insert } from "../results.ts";
import { bids } from "../sources.ts";
import { options } from "./options.ts";

export const q0 = defineJob("q0", (env) => insert(env, bids(env)), options);
