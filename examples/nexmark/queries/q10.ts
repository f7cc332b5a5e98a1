// Log to files: all bids, in a folder for each minute of their times.
//   CREATE TABLE fs_sink (auction BIGINT, bidder BIGINT, price BIGINT, dateTime TIMESTAMP(3),
//     extra VARCHAR, dt STRING, hm STRING)
//   PARTITIONED BY (dt, hm) WITH ('connector' = 'filesystem', 'format' = 'csv',
//     'sink.partition-commit.trigger' = 'process-time', 'sink.partition-commit.delay' = '1 min', …)
//   INSERT INTO fs_sink SELECT auction, bidder, price, dateTime, extra,
//     DATE_FORMAT(dateTime, 'yyyy-MM-dd'), DATE_FORMAT(dateTime, 'HH:mm') FROM bid
// The files are written whatever `results` says. Their lines keep dt and hm, which Flink leaves to the path,
// and they are final with their checkpoint: there is no mark that a folder is complete.

import { defineJob, files } from "tidemark";

import { insert } from "../results.ts";
import { bids } from "../sources.ts";
import { dayOf, minuteOf } from "./dates.ts";
import { options } from "./options.ts";

interface Line {
  readonly auction: number;
  readonly bidder: number;
  readonly price: number;
  readonly dateTime: number;
  readonly extra: string;
  readonly dt: string;
  readonly hm: string;
}

const byMinute = files("bids", {
  partition: ({ dt, hm }: Line) => [
    ["dt", dt],
    ["hm", hm],
  ],
});

export const q10 = defineJob(
  "q10",
  (env) => {
    const lines = bids(env).map(
      ({ auction, bidder, price, dateTime, extra }): Line => ({
        auction,
        bidder,
        price,
        dateTime,
        extra,
        dt: dayOf(dateTime),
        hm: minuteOf(dateTime),
      }),
      { uid: "lines" },
    );
    lines.to(byMinute, { uid: "files" });
    insert(env, lines);
  },
  options,
);
