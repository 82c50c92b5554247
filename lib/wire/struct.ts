import type { Reader } from './reader.ts'
import type { Writer } from './writer.ts'

/** Randomness for generated values: `next(n)` is an integer in 0..n-1. */
export interface Dice {
  next(limit: number): number
}

/** One field of a wire layout: how it is read, written, shown in a log and invented for a test. */
export interface Field<T> {
  read(reader: Reader): T
  write(writer: Writer, value: T): void
  describe(value: T): string
  random(dice: Dice): T
}

/** A wire layout: fields in order, from which decoding, encoding, log text and random values follow. */
export interface Struct<T> extends Field<T> {
  readonly fields: { readonly [K in keyof T]: Field<T[K]> }
}

const randomBytes = (dice: Dice, limit: number): Buffer =>
  Buffer.from(Array.from({ length: dice.next(limit) }, () => dice.next(256)))

const randomName = (dice: Dice): string =>
  Array.from({ length: 1 + dice.next(12) }, () => String.fromCharCode(97 + dice.next(26))).join('')

const hexPreview = (bytes: Buffer): string =>
  bytes.length <= 32 ? bytes.toString('hex') : `${bytes.toString('hex', 0, 32)}… (${bytes.length} bytes)`

export const byte: Field<number> = {
  read: reader => reader.byte(),
  write: (writer, value) => writer.byte(value),
  describe: String,
  random: dice => dice.next(256),
}

export const boolean: Field<boolean> = {
  read: reader => reader.boolean(),
  write: (writer, value) => writer.boolean(value),
  describe: String,
  random: dice => dice.next(2) === 1,
}

export const uint32: Field<number> = {
  read: reader => reader.uint32(),
  write: (writer, value) => writer.uint32(value),
  describe: String,
  random: dice => (dice.next(4) === 0 ? 0xffffffff - dice.next(3) : dice.next(0x10000)),
}

export const uint64: Field<bigint> = {
  read: reader => reader.uint64(),
  write: (writer, value) => writer.uint64(value),
  describe: String,
  random: dice => (BigInt(dice.next(0x10000)) << 32n) | BigInt(dice.next(0x10000)),
}

/** A byte string. */
export const string: Field<Buffer> = {
  read: reader => reader.string(),
  write: (writer, value) => writer.string(value),
  describe: hexPreview,
  random: dice => randomBytes(dice, 64),
}

/** A string that holds UTF-8 (or US-ASCII) text. */
export const text: Field<string> = {
  read: reader => reader.text(),
  write: (writer, value) => writer.text(value),
  describe: JSON.stringify,
  random: randomName,
}

export const nameList: Field<string[]> = {
  read: reader => reader.nameList(),
  write: (writer, value) => writer.nameList(value),
  describe: names => names.join(','),
  random: dice => Array.from({ length: dice.next(4) }, () => randomName(dice)),
}

/** A non-negative mpint as its big-endian magnitude. */
export const mpint: Field<Buffer> = {
  read: reader => reader.mpint(),
  write: (writer, value) => writer.mpint(value),
  describe: hexPreview,
  random: dice => Buffer.from([1 + dice.next(255), ...randomBytes(dice, 40)]),
}

/** All that is left of the message, without a length before it. */
export const rest: Field<Buffer> = {
  read: reader => reader.rest(),
  write: (writer, value) => writer.bytes(value),
  describe: hexPreview,
  random: dice => randomBytes(dice, 64),
}

/** `count` bytes without a length before them. */
export function fixed(count: number): Field<Buffer> {
  return {
    read: reader => reader.bytes(count),
    write: (writer, value) => writer.bytes(value),
    describe: hexPreview,
    random: dice => Buffer.from(Array.from({ length: count }, () => dice.next(256))),
  }
}

/** The same field, never shown in a log. */
export function secret<T>(field: Field<T>): Field<T> {
  return { ...field, describe: () => '(secret)' }
}

/** The field repeated until the end of the message, as in EXT_INFO and SFTP's attributes. */
export function repeated<T>(field: Field<T>, countLimit = 1024): Field<T[]> {
  return {
    read(reader) {
      const values: T[] = []
      while (reader.remaining > 0 && values.length < countLimit) values.push(field.read(reader))
      return values
    },
    write(writer, values) {
      for (const value of values) field.write(writer, value)
    },
    describe: values => `[${values.map(value => field.describe(value)).join('; ')}]`,
    random: dice => Array.from({ length: dice.next(4) }, () => field.random(dice)),
  }
}

/** A wire layout from its fields in order: `struct({ reason: uint32, description: text })`. */
export function struct<T extends object>(fields: { [K in keyof T]: Field<T[K]> }): Struct<T> {
  const names = Object.keys(fields) as (keyof T & string)[]
  return {
    fields,
    read(reader) {
      const value = {} as T
      for (const name of names) value[name] = fields[name].read(reader)
      return value
    },
    write(writer, value) {
      for (const name of names) fields[name].write(writer, value[name])
    },
    describe: value => names.map(name => `${name}=${fields[name].describe(value[name])}`).join(' '),
    random(dice) {
      const value = {} as T
      for (const name of names) value[name] = fields[name].random(dice)
      return value
    },
  }
}
