import { ProtocolError } from '../errors.ts'
import { decodePath, encodePath } from '../wire/path.ts'
import { Reader } from '../wire/reader.ts'
import { byte, type Field, type Struct, string, struct, text, uint32 } from '../wire/struct.ts'
import { type Attributes, attributesField, readUint64, type SftpVersion, writeUint64 } from './attributes.ts'

/** SSH_FXP_* (draft-ietf-secsh-filexfer-02 §3, -13 §4.3). */
export const packetType = {
  init: 1,
  version: 2,
  open: 3,
  close: 4,
  read: 5,
  write: 6,
  lstat: 7,
  fstat: 8,
  setstat: 9,
  fsetstat: 10,
  opendir: 11,
  readdir: 12,
  remove: 13,
  mkdir: 14,
  rmdir: 15,
  realpath: 16,
  stat: 17,
  rename: 18,
  readlink: 19,
  symlink: 20,
  link: 21,
  block: 22,
  unblock: 23,
  status: 101,
  handle: 102,
  data: 103,
  name: 104,
  attrs: 105,
  extended: 200,
  extendedReply: 201,
} as const

/** SSH_FXF_* of versions 3 and 4. */
export const OpenFlag = {
  read: 0x1,
  write: 0x2,
  /** Writes go to the end, whatever their offset. */
  append: 0x4,
  create: 0x8,
  truncate: 0x10,
  /** With `create`: fail when the file exists. */
  exclusive: 0x20,
} as const

/** The desired-access bits and flags of OPEN in versions 5 and 6 (draft -13 §8.1.1). */
export const Access = {
  readData: 0x1,
  writeData: 0x2,
  appendData: 0x4,
  readAttributes: 0x80,
  writeAttributes: 0x100,
} as const
export const Disposition = {
  mask: 0x7,
  createNew: 0,
  createTruncate: 1,
  openExisting: 2,
  openOrCreate: 3,
  truncateExisting: 4,
} as const
export const appendData = 0x8

/** The bits of `OpenFlag` as versions 5 and 6 have them (draft -13 §8.1.1). */
export function accessOf(flags: number): { access: number; flags: number } {
  const { read, write, append, create, truncate, exclusive } = OpenFlag
  let access = 0
  if (flags & read) access |= Access.readData | Access.readAttributes
  if (flags & write) access |= Access.writeData | Access.writeAttributes
  if (flags & append) access |= Access.appendData
  let disposition: number
  if (flags & create) {
    if (flags & exclusive) disposition = Disposition.createNew
    else disposition = flags & truncate ? Disposition.createTruncate : Disposition.openOrCreate
  } else disposition = flags & truncate ? Disposition.truncateExisting : Disposition.openExisting
  return { access, flags: disposition | (flags & append ? appendData : 0) }
}

/** SSH_FXF_RENAME_* (draft -13 §8.3). */
export const RenameFlag = { overwrite: 1, atomic: 2, native: 4 } as const

/** SSH_FXP_REALPATH_* (draft -13 §8.9). */
export const RealpathCheck = { none: 1, statIfExists: 2, statAlways: 3 } as const

/** A path: bytes on the wire, see lib/wire/path.ts. */
export const path: Field<string> = {
  read: reader => decodePath(reader.string()),
  write: (writer, value) => writer.string(encodePath(value)),
  describe: JSON.stringify,
  random: dice => decodePath(Buffer.from(Array.from({ length: dice.next(20) }, () => dice.next(256)))),
}

/** A 64-bit offset or length as a number, exact below 2^53. */
export const uint64Number: Field<number> = {
  read: readUint64,
  write: writeUint64,
  describe: String,
  random: dice => dice.next(0x100000) * dice.next(0x100000),
}

/** A field that this version does not have. */
function absent<T>(value: T): Field<T> {
  return { read: () => value, write() {}, describe: () => '-', random: () => value }
}

/** The paths that version 6 may add to REALPATH. */
const composePaths: Field<string[]> = {
  read(reader) {
    const paths: string[] = []
    while (reader.remaining > 0) paths.push(path.read(reader))
    return paths
  },
  write(writer, values) {
    for (const value of values) path.write(writer, value)
  },
  describe: JSON.stringify,
  random: () => [],
}

/** Optional byte at the end (version 6): empty when the peer left it out. */
const realpathCheck: Field<number> = {
  ...byte,
  read: reader => (reader.remaining > 0 ? reader.byte() : RealpathCheck.none),
  random: dice => 1 + dice.next(3),
}

/** Optional flags at the end. */
const optionalFlags: Field<number> = { ...uint32, read: reader => (reader.remaining > 0 ? reader.uint32() : 0) }

/** A request or reply after its length, type and id. */
export interface PacketLayout<T> {
  readonly type: number
  readonly name: string
  readonly fields: Struct<T>
}

/** One file of a NAME reply. */
export interface NameEntry {
  name: string
  /** A line as `ls -l` prints it; version 3 only. */
  longname: string
  attributes: Attributes
}

const maximumNames = 100_000

function names(version: SftpVersion): Field<NameEntry[]> {
  const entry = struct<NameEntry>({
    name: path,
    longname: version === 3 ? path : absent(''),
    attributes: attributesField(version),
  })
  return {
    read(reader) {
      const count = reader.uint32()
      // An entry takes at least 8 bytes: a count that the packet cannot hold must not be believed.
      if (count > maximumNames || count * 8 > reader.remaining) {
        throw new ProtocolError('malformed-message', `reply with ${count} names`)
      }
      return Array.from({ length: count }, () => entry.read(reader))
    },
    write(writer, values) {
      writer.uint32(values.length)
      for (const value of values) entry.write(writer, value)
    },
    describe: values => `[${values.map(value => entry.describe(value)).join('; ')}]`,
    random: dice => Array.from({ length: dice.next(4) }, () => entry.random(dice)),
  }
}

/** End of list (version 6): `unknown` when left out. */
const endOfList: Field<boolean> = {
  read: reader => reader.remaining > 0 && reader.boolean(),
  write: (writer, value) => writer.boolean(value),
  describe: String,
  random: dice => dice.next(2) === 1,
}

/** Text of a STATUS; servers of version 2 and some later ones leave it out. */
const optionalText: Field<string> = { ...text, read: reader => (reader.remaining >= 4 ? reader.text() : '') }

function define(version: SftpVersion) {
  const attributes = attributesField(version)
  const handle = string
  const wanted = version >= 4 ? uint32 : absent(0)
  const layout = <T extends object>(
    type: number,
    name: string,
    fields: { [K in keyof T]: Field<T[K]> },
  ): PacketLayout<T> => ({ type, name, fields: struct<T>(fields) })
  return {
    open: layout<{ path: string; access: number; flags: number; attributes: Attributes }>(packetType.open, 'OPEN', {
      path,
      access: version >= 5 ? uint32 : absent(0),
      flags: uint32,
      attributes,
    }),
    close: layout<{ handle: Buffer }>(packetType.close, 'CLOSE', { handle }),
    read: layout<{ handle: Buffer; offset: number; length: number }>(packetType.read, 'READ', {
      handle,
      offset: uint64Number,
      length: uint32,
    }),
    write: layout<{ handle: Buffer; offset: number; data: Buffer }>(packetType.write, 'WRITE', {
      handle,
      offset: uint64Number,
      data: string,
    }),
    lstat: layout<{ path: string; wanted: number }>(packetType.lstat, 'LSTAT', { path, wanted }),
    fstat: layout<{ handle: Buffer; wanted: number }>(packetType.fstat, 'FSTAT', { handle, wanted }),
    setstat: layout<{ path: string; attributes: Attributes }>(packetType.setstat, 'SETSTAT', { path, attributes }),
    fsetstat: layout<{ handle: Buffer; attributes: Attributes }>(packetType.fsetstat, 'FSETSTAT', {
      handle,
      attributes,
    }),
    opendir: layout<{ path: string }>(packetType.opendir, 'OPENDIR', { path }),
    readdir: layout<{ handle: Buffer }>(packetType.readdir, 'READDIR', { handle }),
    remove: layout<{ path: string }>(packetType.remove, 'REMOVE', { path }),
    mkdir: layout<{ path: string; attributes: Attributes }>(packetType.mkdir, 'MKDIR', { path, attributes }),
    rmdir: layout<{ path: string }>(packetType.rmdir, 'RMDIR', { path }),
    realpath: layout<{ path: string; check: number; compose: string[] }>(packetType.realpath, 'REALPATH', {
      path,
      check: version >= 6 ? realpathCheck : absent(RealpathCheck.none as number),
      compose: version >= 6 ? composePaths : absent<string[]>([]),
    }),
    stat: layout<{ path: string; wanted: number }>(packetType.stat, 'STAT', { path, wanted }),
    rename: layout<{ oldPath: string; newPath: string; flags: number }>(packetType.rename, 'RENAME', {
      oldPath: path,
      newPath: path,
      flags: version >= 5 ? optionalFlags : absent(0),
    }),
    readlink: layout<{ path: string }>(packetType.readlink, 'READLINK', { path }),
    /** The order of the two is a matter of the implementation (PROTOCOL §4.1). */
    symlink: layout<{ first: string; second: string }>(packetType.symlink, 'SYMLINK', { first: path, second: path }),
    /** Version 6: makes `newPath`, which links to `existing`. */
    link: layout<{ newPath: string; existing: string; symbolic: number }>(packetType.link, 'LINK', {
      newPath: path,
      existing: path,
      symbolic: byte,
    }),
    block: layout<{ handle: Buffer; offset: number; length: number; flags: number }>(packetType.block, 'BLOCK', {
      handle,
      offset: uint64Number,
      length: uint64Number,
      flags: uint32,
    }),
    unblock: layout<{ handle: Buffer; offset: number; length: number }>(packetType.unblock, 'UNBLOCK', {
      handle,
      offset: uint64Number,
      length: uint64Number,
    }),
    status: layout<{ status: number; message: string; language: string }>(packetType.status, 'STATUS', {
      status: uint32,
      message: optionalText,
      language: optionalText,
    }),
    handle: layout<{ handle: Buffer }>(packetType.handle, 'HANDLE', { handle }),
    name: layout<{ names: NameEntry[]; end: boolean }>(packetType.name, 'NAME', {
      names: names(version),
      end: version >= 6 ? endOfList : absent(false),
    }),
    attrs: layout<{ attributes: Attributes }>(packetType.attrs, 'ATTRS', { attributes }),
  }
}

/** The packets of one protocol version. */
export type Messages = ReturnType<typeof define>

const tables: Readonly<Record<SftpVersion, Messages>> = { 3: define(3), 4: define(4), 5: define(5), 6: define(6) }

/** The packets as a protocol version lays them out; what a version lacks reads as its neutral value. */
export const messagesOf = (version: SftpVersion): Messages => tables[version]

/**
 * Reads the fields of a packet that begin at `offset` (after type and id). Version 6 may add fields at the end.
 * @throws ProtocolError when malformed or, below version 6, with bytes left over
 */
export function readPacket<T>(layout: PacketLayout<T>, packet: Buffer, offset: number, version: SftpVersion): T {
  const reader = new Reader(packet, offset)
  const value = layout.fields.read(reader)
  if (version < 6) reader.finish()
  return value
}

/** Bounds of a packet after its length, as OpenSSH has them. */
export const maximumPacketLength = 256 * 1024
/** Room in a packet for everything beside the data of READ or WRITE, handle included. */
export const packetOverhead = 1024
/** Most data in one READ or WRITE that we offer and take. */
export const maximumDataLength = maximumPacketLength - packetOverhead
/** What any server takes (draft -02 §3). */
export const safeDataLength = 32768
