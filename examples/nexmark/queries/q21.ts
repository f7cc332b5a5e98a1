// Channel ids: of the known channels, or out of the address.
//   SELECT auction, bidder, price, channel,
//     CASE lower(channel) WHEN 'apple' THEN '0' WHEN 'google' THEN '1' WHEN 'facebook' THEN '2'
//       WHEN 'baidu' THEN '3' ELSE REGEXP_EXTRACT(url, '(&|^)channel_id=([^&]*)', 2) END AS channel_id
//   FROM bid WHERE channel_id IS NOT NULL

import { defineJob } from "tidemark";

import { insert } from "../results.ts";
import { bids } from "../sources.ts";
import { options } from "./options.ts";

const known = new Map([
  ["apple", "0"],
  ["google", "1"],
  ["facebook", "2"],
  ["baidu", "3"],
]);

const channelId = (channel: string, url: string): string | undefined =>
  known.get(channel.toLowerCase()) ?? /(?:&|^)channel_id=([^&]*)/.exec(url)?.[1];

export const q21 = defineJob(
  "q21",
  (env) => {
    const withId = bids(env).flatMap(
      ({ auction, bidder, price, channel, url }) => {
        const id = channelId(channel, url);
        return id === undefined ? [] : [{ auction, bidder, price, channel, channel_id: id }];
      },
      { uid: "with-id" },
    );
    insert(env, withId);
  },
  options,
);
