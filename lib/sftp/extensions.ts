import { ProtocolError } from '../errors.ts'
import { Reader } from '../wire/reader.ts'
import { type Field, type Struct, string, struct, text, uint32 } from '../wire/struct.ts'
import { encode, type Writer } from '../wire/writer.ts'
import { type Attributes, attributesField, knownAttributeFlags, type SftpVersion } from './attributes.ts'
import type { DataRange, FileSystemStatistics } from './filesystem.ts'
import { Access, appendData, Disposition, maximumDataLength, path, uint64Number } from './messages.ts'

/** An extension of SFTP: what follows its name in EXTENDED, and what follows the id in the answer. */
export interface Extension<Request, Reply = undefined> {
  readonly name: string
  /** The version announced in VERSION, which must match before the extension may be used (PROTOCOL §4.2). */
  readonly version: string
  readonly request: Struct<Request>
  /** `status`: STATUS alone; `name`: a NAME reply; else the layout of EXTENDED_REPLY. */
  readonly reply: Field<Reply> | 'status' | 'name'
}

function extension<Request extends object>(
  name: string,
  version: string,
  reply: 'status' | 'name',
  fields: { [K in keyof Request]: Field<Request[K]> },
): Extension<Request> {
  return { name, version, reply, request: struct<Request>(fields) }
}

function asking<Request extends object, Reply>(
  name: string,
  version: string,
  reply: Field<Reply>,
  fields: { [K in keyof Request]: Field<Request[K]> },
): Extension<Request, Reply> {
  return { name, version, reply, request: struct<Request>(fields) }
}

/** Values of the same layout up to the end of a string. */
function packed<T>(field: Field<T>): Field<T[]> {
  return {
    read(reader) {
      const inner = new Reader(reader.string())
      const values: T[] = []
      while (inner.remaining > 0) values.push(field.read(inner))
      return values
    },
    write(writer, values) {
      writer.string(
        encode(inner => {
          for (const value of values) field.write(inner, value)
        }),
      )
    },
    describe: values => `[${values.map(value => field.describe(value)).join(' ')}]`,
    random: dice => Array.from({ length: dice.next(5) }, () => field.random(dice)),
  }
}

export const statistics: Struct<FileSystemStatistics> = struct<FileSystemStatistics>({
  blockSize: uint64Number,
  fragmentSize: uint64Number,
  blocks: uint64Number,
  freeBlocks: uint64Number,
  availableBlocks: uint64Number,
  files: uint64Number,
  freeFiles: uint64Number,
  availableFiles: uint64Number,
  id: uint64Number,
  flags: uint64Number,
  maximumNameLength: uint64Number,
})

/** limits@openssh.com (PROTOCOL §4.8); 0 is no limit. */
export interface Limits {
  readonly maximumPacketLength: number
  readonly maximumReadLength: number
  readonly maximumWriteLength: number
  readonly maximumOpenHandles: number
}

const limitsLayout = struct<Limits>({
  maximumPacketLength: uint64Number,
  maximumReadLength: uint64Number,
  maximumWriteLength: uint64Number,
  maximumOpenHandles: uint64Number,
})

/** Most ranges in one answer. */
export const maximumRanges = 128

const ranges: Field<{ ranges: DataRange[]; atEnd: boolean }> = {
  read(reader) {
    const count = reader.uint32()
    if (count * 16 > reader.remaining) throw new ProtocolError('malformed-message', `reply with ${count} ranges`)
    const list = Array.from({ length: count }, () => ({
      offset: uint64Number.read(reader),
      length: uint64Number.read(reader),
    }))
    return { ranges: list, atEnd: reader.boolean() }
  },
  write(writer, value) {
    writer.uint32(value.ranges.length)
    for (const { offset, length } of value.ranges) {
      uint64Number.write(writer, offset)
      uint64Number.write(writer, length)
    }
    writer.boolean(value.atEnd)
  },
  describe: value => JSON.stringify(value),
  random: dice => ({
    ranges: Array.from({ length: dice.next(4) }, () => ({
      offset: uint64Number.random(dice),
      length: uint64Number.random(dice),
    })),
    atEnd: dice.next(2) === 1,
  }),
}

/** The answer to check-file-*: one hash for each block after another. */
export interface FileHashes {
  readonly algorithm: string
  readonly hashes: Buffer
}

const fileHashes: Field<FileHashes> = {
  read(reader) {
    // The name of the answer, which some servers leave out.
    const first = reader.text()
    return { algorithm: first === 'check-file' ? reader.text() : first, hashes: reader.rest() }
  },
  write: (writer, value) => writer.text('check-file').text(value.algorithm).bytes(value.hashes),
  describe: value => `${value.algorithm} ${value.hashes.toString('hex')}`,
  random: dice => ({ algorithm: 'sha256', hashes: string.random(dice) }),
}

const twoPaths = { oldPath: path, newPath: path }
const ofHandle = { handle: string }
const checkFields = { algorithms: text, offset: uint64Number, length: uint64Number, blockSize: uint32 }

export interface CheckRequest {
  algorithms: string
  offset: number
  /** 0: up to the end. */
  length: number
  /** 0: one hash of everything; else at least 256. */
  blockSize: number
}

export const posixRename = extension<{ oldPath: string; newPath: string }>(
  'posix-rename@openssh.com',
  '1',
  'status',
  twoPaths,
)
export const statvfs = asking<{ path: string }, FileSystemStatistics>('statvfs@openssh.com', '2', statistics, { path })
export const fstatvfs = asking<{ handle: Buffer }, FileSystemStatistics>(
  'fstatvfs@openssh.com',
  '2',
  statistics,
  ofHandle,
)
export const hardlink = extension<{ oldPath: string; newPath: string }>('hardlink@openssh.com', '1', 'status', twoPaths)
export const fsync = extension<{ handle: Buffer }>('fsync@openssh.com', '1', 'status', ofHandle)
const lsetstatOf = (version: SftpVersion) =>
  extension<{ path: string; attributes: Attributes }>('lsetstat@openssh.com', '1', 'status', {
    path,
    attributes: attributesField(version),
  })
const lsetstats = { 3: lsetstatOf(3), 4: lsetstatOf(4), 5: lsetstatOf(5), 6: lsetstatOf(6) } as const
/** Carries ATTRS, whose layout depends on the version. */
export const lsetstat = (version: SftpVersion) => lsetstats[version]
export const limits = asking<object, Limits>('limits@openssh.com', '1', limitsLayout, {})
export const expandPath = extension<{ path: string }>('expand-path@openssh.com', '1', 'name', { path })
export interface CopyRequest {
  from: Buffer
  offset: number
  /** 0: up to the end. */
  length: number
  to: Buffer
  at: number
}
export const copyData = extension<CopyRequest>('copy-data', '1', 'status', {
  from: string,
  offset: uint64Number,
  length: uint64Number,
  to: string,
  at: uint64Number,
})
export const homeDirectory = extension<{ user: string }>('home-directory', '1', 'name', { user: text })
export const accountNames = asking<{ uids: number[]; gids: number[] }, { users: string[]; groups: string[] }>(
  'users-groups-by-id@openssh.com',
  '1',
  struct<{ users: string[]; groups: string[] }>({ users: packed(text), groups: packed(text) }),
  { uids: packed(uint32), gids: packed(uint32) },
)
export const dataRanges = asking<
  { handle: Buffer; offset: number; length: number },
  { ranges: DataRange[]; atEnd: boolean }
>('ranges@asyncssh.com', '1', ranges, { handle: string, offset: uint64Number, length: uint64Number })
/** draft-ietf-secsh-filexfer-extensions-00 §3; announced as `check-file`, with the names of the hashes. */
export const checkFileHandle = asking<CheckRequest & { handle: Buffer }, FileHashes>(
  'check-file-handle',
  '',
  fileHashes,
  { handle: string, ...checkFields },
)
export const checkFileName = asking<CheckRequest & { path: string }, FileHashes>('check-file-name', '', fileHashes, {
  path,
  ...checkFields,
})
export const checkFileAnnouncement = 'check-file'

/** vendor-id (draft -13 §4.4). */
export interface VendorId {
  readonly vendor: string
  readonly product: string
  readonly version: string
  readonly build: number
}

export const vendorId: Struct<VendorId> = struct<VendorId>({
  vendor: text,
  product: text,
  version: text,
  build: uint64Number,
})

/** Name and data of an extension as VERSION announces it. */
export interface Announcement {
  readonly name: string
  readonly data: Buffer
}

/** Most announcements that we look at. */
const maximumAnnouncements = 256

export function readAnnouncements(reader: Reader): Announcement[] {
  const list: Announcement[] = []
  while (reader.remaining > 0) {
    if (list.length === maximumAnnouncements) throw new ProtocolError('limit-exceeded', 'too many SFTP extensions')
    list.push({ name: reader.text(), data: Buffer.from(reader.string()) })
  }
  return list
}

export function writeAnnouncements(writer: Writer, list: readonly Announcement[]): void {
  for (const { name, data } of list) writer.text(name).string(data)
}

const openFlagsTaken = Disposition.mask | appendData
const accessTaken =
  Access.readData | Access.writeData | Access.appendData | Access.readAttributes | Access.writeAttributes

/** `supported` of version 5 or `supported2` of version 6, with `acl-supported` (draft -13 §4.5). */
export function supportedFeatures(version: SftpVersion, names: readonly string[]): Announcement[] {
  if (version < 5) return []
  const masks = (writer: Writer): Writer =>
    writer
      .uint32(knownAttributeFlags[version])
      .uint32(0)
      .uint32(openFlagsTaken)
      .uint32(accessTaken)
      .uint32(maximumDataLength)
  if (version === 5) {
    const data = encode(writer => {
      masks(writer)
      for (const name of names) writer.text(name)
    })
    return [{ name: 'supported', data }]
  }
  const data = encode(writer => {
    // Block vectors: opening without locks, and locking a range for reading and for writing.
    masks(writer)
      .bytes(Buffer.of(0, 1, 0, 1))
      .uint32(0)
      .uint32(names.length)
    for (const name of names) writer.text(name)
  })
  return [
    { name: 'acl-supported', data: encode(writer => writer.uint32(0)) },
    { name: 'supported2', data },
  ]
}

/** A hash by our name for it: the draft's `sha-256` and others' `sha256` are the same. */
export const hashNameOf = (name: string): string => name.toLowerCase().replace(/^sha-/, 'sha')
