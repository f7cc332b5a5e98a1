// A failure as Flink's own clients read it: an object of its class SerializedThrowable, in the form of
// Java's object serialisation, in base64. They read nothing else of a failed operation.
//   Z1. What is around the texts is constant: the descriptions of three classes, of which only those
//       fields are written that say something. A reader takes the others as null, as it does with any
//       class that had fewer fields once; so there is no stack and no cause.
// Java Object Serialization Specification, version 6.0, sections 6.4 and 6.4.2; modified UTF-8 is
// described at java.io.DataInput.

/** Tags of the stream that occur here. */
const tags = {
  null: 0x70,
  reference: 0x71,
  classDescription: 0x72,
  object: 0x73,
  string: 0x74,
  endBlockData: 0x78,
  longString: 0x7c,
} as const;

const streamHeader = [0xac, 0xed, 0x00, 0x05];

/** Of a class that has only its fields in the stream, and of one whose own method wrote them. */
const flags = { serializable: 0x02, withWriteMethod: 0x03 } as const;

/** The type of the fields is written once; later ones refer to it by its handle, the second of all. */
const stringType = "Ljava/lang/String;";
const stringTypeHandle = [0x00, 0x7e, 0x00, 0x01];

/** The texts of a failure, as its client shows them. */
export interface ThrowableTexts {
  /** What stands for the class of the failure. */
  readonly name: string;
  readonly message: string;
}

/** Flink's `SerializedThrowable` in JSON. */
export const causeOf = (name: string, message: string) => ({
  class: name,
  "stack-trace": message,
  "serialized-throwable": serializedThrowable({ name, message }),
});

/** The base64 of a failure as an object of Java. */
export function serializedThrowable({ name, message }: ThrowableTexts): string {
  const text = `${name}: ${message}`;
  const bytes = [
    ...streamHeader,
    tags.object,
    ...classOf("org.apache.flink.util.SerializedThrowable", 0x65169df51fa713f3n, {
      flags: flags.serializable,
      fields: [
        ["fullStringifiedStackTrace", [tags.string, ...utf(stringType)]],
        ["originalErrorClassName", [tags.reference, ...stringTypeHandle]],
      ],
    }),
    ...classOf("java.lang.Exception", 0xd0fd1f3e1a3b1cc4n, {
      flags: flags.serializable,
      fields: [],
    }),
    ...classOf("java.lang.Throwable", 0xd5c635273977b8cbn, {
      flags: flags.withWriteMethod,
      fields: [["detailMessage", [tags.reference, ...stringTypeHandle]]],
    }),
    // There is no class above it. Then the fields, those of the uppermost class first.
    tags.null,
    ...stringObject(message),
    tags.endBlockData,
    ...stringObject(text),
    ...stringObject(name),
  ];
  return btoa(bytes.map((byte) => String.fromCharCode(byte)).join(""));
}

/** The description of a class, up to that of its superclass, which follows it. */
const classOf = (
  name: string,
  version: bigint,
  of: {
    readonly flags: number;
    readonly fields: readonly (readonly [name: string, type: readonly number[]])[];
  },
): number[] => [
  tags.classDescription,
  ...utf(name),
  ...bigEndian(version, 8),
  of.flags,
  ...bigEndian(BigInt(of.fields.length), 2),
  ...of.fields.flatMap(([field, type]) => ["L".charCodeAt(0), ...utf(field), ...type]),
  tags.endBlockData,
];

function stringObject(text: string): number[] {
  const bytes = modifiedUtf8(text);
  const isShort = bytes.length < 2 ** 16;
  const length = bigEndian(BigInt(bytes.length), isShort ? 2 : 8);
  return [isShort ? tags.string : tags.longString, ...length].concat(bytes);
}

/** Names are short. */
const utf = (text: string): number[] => [
  ...bigEndian(BigInt(text.length), 2),
  ...modifiedUtf8(text),
];

/** UTF-16 units one by one, and no zero byte. */
function modifiedUtf8(text: string): number[] {
  const bytes: number[] = [];
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit > 0 && unit < 0x80) bytes.push(unit);
    else if (unit < 0x800) bytes.push(0xc0 | (unit >> 6), 0x80 | (unit & 0x3f));
    else bytes.push(0xe0 | (unit >> 12), 0x80 | ((unit >> 6) & 0x3f), 0x80 | (unit & 0x3f));
  }
  return bytes;
}

const bigEndian = (value: bigint, bytes: number): number[] =>
  Array.from({ length: bytes }, (_, at) => Number((value >> BigInt(8 * (bytes - 1 - at))) & 0xffn));
