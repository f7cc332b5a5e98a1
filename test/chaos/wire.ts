// The connection between clients and the runtime, as one that can break: a TCP relay.
//   W1. What is cut is cut for both sides at once, and nothing after the cut reaches either.
//   W2. Nothing is asked of a port on which nobody listens (see the demo's producer).

import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { pipeline } from "node:stream/promises";

import type { Server as Upstream } from "../../examples/flights/producer.ts";
import type { Fault } from "./schedule.ts";

export type Cut = Extract<Fault, { kind: "cut" }>;

export class Wire {
  readonly url: string;
  /** Connections cut so far. */
  cuts = 0;
  readonly #server: Server;
  readonly #armed: Cut[] = [];
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server, upstream: Upstream) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on("connection", (client) => void this.#relay(client, upstream));
  }

  static async to(upstream: Upstream): Promise<Wire> {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    return new Wire(server, upstream);
  }

  /** Cuts the next connection over which something goes in that direction. */
  cut(cut: Cut): void {
    this.#armed.push(cut);
  }

  /** From now on nothing is cut. */
  heal(): void {
    this.#armed.length = 0;
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  async #relay(client: Socket, upstream: Upstream): Promise<void> {
    const both = [client];
    try {
      this.#sockets.add(client.on("error", () => {}));
      await upstream.up();
      const { hostname, port } = new URL(upstream.url);
      const server = connect({ host: hostname, port: Number(port) }).on("error", () => {});
      both.push(server);
      this.#sockets.add(server);
      await Promise.all([
        pipeline(client, (bytes: AsyncIterable<Buffer>) => this.#until("request", bytes), server),
        pipeline(server, (bytes: AsyncIterable<Buffer>) => this.#until("answer", bytes), client),
      ]);
    } catch {
      // Cut, or one of the two has ended; the other hears of it below.
    } finally {
      for (const socket of both) {
        socket.destroy();
        this.#sockets.delete(socket);
      }
    }
  }

  async *#until(side: Cut["side"], bytes: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    let left: number | undefined;
    for await (const chunk of bytes) {
      left ??= this.#take(side);
      if (left !== undefined && chunk.length > left) {
        yield chunk.subarray(0, left);
        this.cuts += 1;
        throw new Error("cut");
      }
      if (left !== undefined) left -= chunk.length;
      yield chunk;
    }
  }

  /** Bytes that may still pass, where this side is to be cut. */
  #take(side: Cut["side"]): number | undefined {
    const index = this.#armed.findIndex((cut) => cut.side === side);
    const [cut] = index === -1 ? [] : this.#armed.splice(index, 1);
    return cut && (cut.side === "request" ? cut.bytes : 0);
  }
}
