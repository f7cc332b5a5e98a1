// Bidders and auctions of each channel, day by day, by rank of price, and the minute of the last bid.
//   SELECT channel, DATE_FORMAT(dateTime, 'yyyy-MM-dd') AS day,
//     max(DATE_FORMAT(dateTime, 'HH:mm')) AS minute, … as in q15
//   FROM bid GROUP BY channel, day

import { defineJob, rows, valueState } from "tidemark";

import { upsert } from "../results.ts";
import { bids } from "../sources.ts";
import { dayOf, minuteOf } from "./dates.ts";
import { countedIn, type DistinctCounts, distinctState } from "./distinct.ts";
import { options } from "./options.ts";

interface ChannelOfDay {
  readonly channel: string;
  readonly day: string;
  readonly minute: string;
}

export const q16 = defineJob(
  "q16",
  (env) => {
    const channels = bids(env, "auction", "bidder", "price", "channel", "dateTime")
      .keyBy(({ channel, dateTime }) => [channel, dayOf(dateTime)])
      .process(
        {
          state: { ...distinctState, minute: valueState({ default: "" }) },
          emits: rows<ChannelOfDay & DistinctCounts>(),
          process(bid, { key: [channel, day], state, emit }) {
            const minute = minuteOf(bid.dateTime);
            if (minute > state.minute.get()) state.minute.set(minute);
            emit({ channel, day, minute: state.minute.get(), ...countedIn(state, bid) });
          },
        },
        { uid: "channels" },
      );
    upsert(env, channels, ({ channel, day }) => [channel, day]);
  },
  options,
);
