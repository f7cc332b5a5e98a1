import { Command } from "commander";

import type { Topic } from "../api.ts";
import { sessionOf } from "../options.ts";
import { bytesText, type Column, printJson, tableOf, whole } from "../output.ts";

const topicColumns: readonly Column[] = [
  { title: "TOPIC" },
  { title: "PARTITIONS", align: "right" },
  { title: "BY" },
  { title: "RECORDS", align: "right" },
  { title: "BYTES", align: "right" },
];

const partitionColumns: readonly Column[] = [
  { title: "PARTITION", align: "right" },
  { title: "FIRST", align: "right" },
  { title: "NEXT", align: "right" },
  { title: "BYTES", align: "right" },
];

export const topicsCommand = (interrupted: AbortSignal): Command =>
  new Command("topics")
    .description("list topics and what they hold; of one, its partitions")
    .argument("[topic]")
    .action(async (name: string | undefined, _, command: Command) => {
      const { api, isJson } = sessionOf(command, interrupted);
      const answer = name === undefined ? await api.topics() : await api.topic(name);
      if (isJson) return printJson(answer);
      if ("topics" in answer) console.log(tableOf(topicColumns, answer.topics.map(topicRow)));
      else {
        const rows = answer.partitions.map(({ partition, first, next, bytes }) => [
          partition,
          whole(first),
          whole(next),
          bytesText(bytes),
        ]);
        console.log(tableOf(partitionColumns, rows));
      }
    });

const topicRow = ({ topic, keyed, partitions }: Topic): (string | number)[] => {
  const sum = (of: (partition: Topic["partitions"][number]) => number): number =>
    partitions.reduce((total, partition) => total + of(partition), 0);
  const records = sum(({ first, next }) => next - first);
  return [
    topic,
    partitions.length,
    keyed ? "key" : "request",
    whole(records),
    bytesText(sum(({ bytes }) => bytes)),
  ];
};
