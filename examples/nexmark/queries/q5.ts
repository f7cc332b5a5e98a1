// Hot items: the auctions with the most bids of the last ten seconds, every two seconds.
//   SELECT auction, num FROM (
//     SELECT auction, count(*) AS num, window_start, window_end
//     FROM HOP(bid, dateTime, INTERVAL '2' SECOND, INTERVAL '10' SECOND)
//     GROUP BY auction, window_start, window_end)
//   WHERE num >= the greatest num of the same window

import { count, defineJob, rows, sliding, tumbling } from "tidemark";

import { insert } from "../results.ts";
import { bids } from "../sources.ts";
import { greatest } from "./greatest.ts";
import { options } from "./options.ts";

/** Of the bids for an auction in a window. */
interface Count {
  readonly key: number;
  readonly num: number;
}

export const q5 = defineJob(
  "q5",
  (env) => {
    const counts = bids(env, "auction", "dateTime")
      .keyBy("auction")
      .window(sliding("10s", "2s"))
      .aggregate({ num: count() }, { uid: "counts" });
    // A count comes at the last instant of its window, so the counts of one window are in one slide.
    const hottest = counts
      .keyBy("windowEnd")
      .window(tumbling("2s"))
      .aggregate(
        { most: greatest(({ num }: Count) => num) },
        {
          emits: rows<{ auction: number; num: number; windowEnd: number }>(),
          process({ key, emit }, { most }) {
            for (const { key: auction, num } of most) emit({ auction, num, windowEnd: key });
          },
        },
        { uid: "hottest" },
      );
    insert(env, hottest);
  },
  options,
);
