// Sessions of bidders: how many bids each has made without a pause of ten seconds.
//   SELECT bidder, count(*) AS bid_count, SESSION_START(…) AS starttime, SESSION_END(…) AS endtime
//   FROM bid GROUP BY bidder, SESSION(dateTime, INTERVAL '10' SECOND)

import { count, defineJob, session } from "tidemark";

import { insert } from "../results.ts";
import { bids } from "../sources.ts";
import { options } from "./options.ts";

export const q11 = defineJob(
  "q11",
  (env) => {
    const sessions = bids(env, "bidder", "dateTime")
      .keyBy("bidder")
      .window(session("10s"))
      .aggregate({ bid_count: count() }, { uid: "sessions" })
      .map(
        ({ key: bidder, bid_count, windowStart: starttime, windowEnd: endtime }) => ({
          bidder,
          bid_count,
          starttime,
          endtime,
        }),
        { uid: "rows" },
      );
    insert(env, sessions);
  },
  options,
);
