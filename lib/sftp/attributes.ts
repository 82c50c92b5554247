import { ProtocolError } from '../errors.ts'
import type { Reader } from '../wire/reader.ts'
import type { Dice, Field } from '../wire/struct.ts'
import type { Writer } from '../wire/writer.ts'

export type SftpVersion = 3 | 4 | 5 | 6

/** SSH_FILEXFER_TYPE_* (draft -13 §7.2), by number minus one. Below version 5 the last four are `special`. */
export const fileTypes = [
  'file',
  'directory',
  'symlink',
  'special',
  'unknown',
  'socket',
  'character-device',
  'block-device',
  'fifo',
] as const
export type FileType = (typeof fileTypes)[number]

/**
 * What is known of a file, or is to be changed. Times are whole seconds since 1970 with nanoseconds apart (version 4 and
 * later carry those). Users are numbers in version 3, names in later ones; either side fills in what it can.
 */
export interface Attributes {
  type?: FileType
  /** Bytes. */
  size?: number
  allocationSize?: number
  uid?: number
  gid?: number
  owner?: string
  group?: string
  /** The twelve bits of chmod(2): 0o7777. */
  permissions?: number
  atime?: number
  atimeNs?: number
  mtime?: number
  mtimeNs?: number
  /** Creation. */
  crtime?: number
  crtimeNs?: number
  /** Last change of the attributes (version 6). */
  ctime?: number
  ctimeNs?: number
  /** As on the wire: an ACL of draft -13 §7.8. */
  acl?: Buffer
  /** SSH_FILEXFER_ATTR_FLAGS_* and which of them say anything (version 5). */
  bits?: number
  bitsValid?: number
  textHint?: number
  mimeType?: string
  linkCount?: number
  untranslatedName?: Buffer
  extended?: { name: string; data: Buffer }[]
}

/** SSH_FILEXFER_ATTR_* (draft -13 §7.1). */
export const attributeFlag = {
  size: 0x1,
  userGroup: 0x2,
  permissions: 0x4,
  /** Version 3: access and modification time. Later: access time. */
  accessTime: 0x8,
  createTime: 0x10,
  modifyTime: 0x20,
  acl: 0x40,
  ownerGroup: 0x80,
  subsecondTimes: 0x100,
  bits: 0x200,
  allocationSize: 0x400,
  textHint: 0x800,
  mimeType: 0x1000,
  linkCount: 0x2000,
  untranslatedName: 0x4000,
  changeTime: 0x8000,
  extended: 0x80000000,
} as const
const flag = attributeFlag

/** Flags that each version defines; others cannot be skipped, their length being unknown. */
export const knownAttributeFlags: Readonly<Record<SftpVersion, number>> = {
  3: 0x8000000f,
  4: 0x800001fd,
  5: 0x800003fd,
  6: 0x8000fffd,
}

/** Most `extended` pairs of one file; each takes at least 8 bytes of the packet as well. */
const maximumExtendedPairs = 1024

const typeBits: Readonly<Partial<Record<FileType, number>>> = {
  fifo: 0o010000,
  'character-device': 0o020000,
  directory: 0o040000,
  'block-device': 0o060000,
  file: 0o100000,
  symlink: 0o120000,
  socket: 0o140000,
}

/** The kind of file that st_mode tells; undefined when its type bits are 0. */
export function typeOfMode(mode: number): FileType | undefined {
  const bits = mode & 0o170000
  if (bits === 0) return undefined
  for (const type of fileTypes) if (typeBits[type] === bits) return type
  return 'special'
}

/** st_mode from type and permissions. */
export const modeOf = (attributes: Attributes): number =>
  (attributes.permissions ?? 0) | ((attributes.type && typeBits[attributes.type]) ?? 0)

/** A 64-bit number as a double: exact up to 2^53, above that checked by those who compute with it. */
export function readUint64(reader: Reader): number {
  return reader.uint32() * 0x100000000 + reader.uint32()
}

export function writeUint64(writer: Writer, value: number): void {
  writer.uint32(Math.floor(value / 0x100000000)).uint32(value % 0x100000000)
}

/** A signed 64-bit number of seconds. */
function readSeconds(reader: Reader): number {
  return Number(BigInt.asIntN(64, reader.uint64()))
}

function writeSeconds(writer: Writer, seconds: number): void {
  writer.uint64(BigInt.asUintN(64, BigInt(Math.trunc(seconds))))
}

/** Reads ATTRS. @throws ProtocolError for flags that the version does not have */
export function readAttributes(reader: Reader, version: SftpVersion): Attributes {
  let flags = reader.uint32()
  const attributes: Attributes = {}
  if (version >= 4) {
    const type = fileTypes[reader.byte() - 1]
    if (type && type !== 'unknown') attributes.type = type
  }
  // Some servers of version 3 set the later MODIFYTIME beside ACMODTIME, without a field for it.
  else if (flags & flag.accessTime) flags &= ~flag.modifyTime
  if ((flags & ~knownAttributeFlags[version]) !== 0) {
    throw new ProtocolError('malformed-message', `unknown attribute flags 0x${(flags >>> 0).toString(16)}`)
  }
  if (flags & flag.size) attributes.size = readUint64(reader)
  if (flags & flag.allocationSize) attributes.allocationSize = readUint64(reader)
  if (flags & flag.userGroup) {
    attributes.uid = reader.uint32()
    attributes.gid = reader.uint32()
  }
  if (flags & flag.ownerGroup) {
    attributes.owner = reader.text()
    attributes.group = reader.text()
  }
  if (flags & flag.permissions) {
    const mode = reader.uint32()
    attributes.permissions = mode & 0o7777
    const type = typeOfMode(mode)
    if (version === 3 && type) attributes.type = type
  }
  if (version === 3) {
    if (flags & flag.accessTime) {
      attributes.atime = reader.uint32()
      attributes.mtime = reader.uint32()
    }
  } else readTimes(reader, flags, attributes)
  if (flags & flag.acl) attributes.acl = Buffer.from(reader.string())
  if (flags & flag.bits) {
    attributes.bits = reader.uint32()
    attributes.bitsValid = version >= 6 ? reader.uint32() : 0xffffffff
  }
  if (flags & flag.textHint) attributes.textHint = reader.byte()
  if (flags & flag.mimeType) attributes.mimeType = reader.text()
  if (flags & flag.linkCount) attributes.linkCount = reader.uint32()
  if (flags & flag.untranslatedName) attributes.untranslatedName = Buffer.from(reader.string())
  if (flags & flag.extended) attributes.extended = readExtended(reader)
  return attributes
}

const timeFields = [
  [flag.accessTime, 'atime', 'atimeNs'],
  [flag.createTime, 'crtime', 'crtimeNs'],
  [flag.modifyTime, 'mtime', 'mtimeNs'],
  [flag.changeTime, 'ctime', 'ctimeNs'],
] as const

function readTimes(reader: Reader, flags: number, attributes: Attributes): void {
  for (const [bit, seconds, nanoseconds] of timeFields) {
    if (!(flags & bit)) continue
    attributes[seconds] = readSeconds(reader)
    if (flags & flag.subsecondTimes) attributes[nanoseconds] = reader.uint32()
  }
}

function readExtended(reader: Reader): { name: string; data: Buffer }[] {
  const count = reader.uint32()
  if (count > maximumExtendedPairs || count * 8 > reader.remaining) {
    throw new ProtocolError('malformed-message', `${count} extended attributes`)
  }
  return Array.from({ length: count }, () => ({ name: reader.text(), data: Buffer.from(reader.string()) }))
}

/** Writes ATTRS with all that the version can carry of them. */
export function writeAttributes(writer: Writer, attributes: Attributes, version: SftpVersion): void {
  const flags = flagsOf(attributes, version)
  writer.uint32(flags)
  if (version >= 4) writer.byte(typeNumber(attributes.type, version))
  if (flags & flag.size) writeUint64(writer, attributes.size!)
  if (flags & flag.allocationSize) writeUint64(writer, attributes.allocationSize!)
  if (flags & flag.userGroup) writer.uint32(attributes.uid!).uint32(attributes.gid!)
  if (flags & flag.ownerGroup) {
    writer.text(attributes.owner ?? String(attributes.uid)).text(attributes.group ?? String(attributes.gid))
  }
  if (flags & flag.permissions) writer.uint32(version === 3 ? modeOf(attributes) : attributes.permissions!)
  if (version === 3) {
    if (flags & flag.accessTime) writer.uint32(clampTime(attributes.atime!)).uint32(clampTime(attributes.mtime!))
  } else {
    for (const [bit, seconds, nanoseconds] of timeFields) {
      if (!(flags & bit)) continue
      writeSeconds(writer, attributes[seconds]!)
      if (flags & flag.subsecondTimes) writer.uint32(attributes[nanoseconds] ?? 0)
    }
  }
  if (flags & flag.acl) writer.string(attributes.acl!)
  if (flags & flag.bits) {
    writer.uint32(attributes.bits!)
    if (version >= 6) writer.uint32(attributes.bitsValid ?? 0xffffffff)
  }
  if (flags & flag.textHint) writer.byte(attributes.textHint!)
  if (flags & flag.mimeType) writer.text(attributes.mimeType!)
  if (flags & flag.linkCount) writer.uint32(attributes.linkCount!)
  if (flags & flag.untranslatedName) writer.string(attributes.untranslatedName!)
  if (flags & flag.extended) {
    writer.uint32(attributes.extended!.length)
    for (const { name, data } of attributes.extended!) writer.text(name).string(data)
  }
}

function flagsOf(a: Attributes, version: SftpVersion): number {
  let flags = 0
  if (a.size !== undefined) flags |= flag.size
  if (a.permissions !== undefined) flags |= flag.permissions
  if (a.extended) flags |= flag.extended
  if (version === 3) {
    if (a.uid !== undefined && a.gid !== undefined) flags |= flag.userGroup
    if (a.atime !== undefined && a.mtime !== undefined) flags |= flag.accessTime
    return flags
  }
  if ((a.owner ?? a.uid) !== undefined && (a.group ?? a.gid) !== undefined) flags |= flag.ownerGroup
  for (const [bit, seconds, nanoseconds] of timeFields) {
    if (a[seconds] === undefined || (bit === flag.changeTime && version < 6)) continue
    flags |= bit
    if (a[nanoseconds] !== undefined) flags |= flag.subsecondTimes
  }
  if (a.acl) flags |= flag.acl
  if (version >= 5 && a.bits !== undefined) flags |= flag.bits
  if (version < 6) return flags
  if (a.allocationSize !== undefined) flags |= flag.allocationSize
  if (a.textHint !== undefined) flags |= flag.textHint
  if (a.mimeType !== undefined) flags |= flag.mimeType
  if (a.linkCount !== undefined) flags |= flag.linkCount
  if (a.untranslatedName) flags |= flag.untranslatedName
  return flags
}

function typeNumber(type: FileType | undefined, version: SftpVersion): number {
  const number = fileTypes.indexOf(type ?? 'unknown') + 1
  return version === 4 && number > 5 ? 4 : number
}

/** Version 3 has 32 bits without a sign. */
const clampTime = (seconds: number): number => Math.min(Math.max(Math.trunc(seconds), 0), 0xffffffff)

/** ATTRS as a field of a message. */
export function attributesField(version: SftpVersion): Field<Attributes> {
  return {
    read: reader => readAttributes(reader, version),
    write: (writer, value) => writeAttributes(writer, value, version),
    describe: describeAttributes,
    random: dice => randomAttributes(dice, version),
  }
}

function describeAttributes(attributes: Attributes): string {
  const parts = Object.entries(attributes).map(([name, value]) =>
    name === 'permissions' ? `mode=0${Number(value).toString(8)}` : `${name}=${String(value)}`,
  )
  return `{${parts.join(' ')}}`
}

function randomAttributes(dice: Dice, version: SftpVersion): Attributes {
  const a: Attributes = {}
  const maybe = (): boolean => dice.next(2) === 1
  if (maybe()) a.type = fileTypes[dice.next(3)]!
  if (maybe()) a.size = dice.next(0x100000) * dice.next(0x100000)
  if (maybe()) a.permissions = dice.next(0o10000)
  if (version === 3) {
    if (a.permissions === undefined) delete a.type
    if (maybe()) Object.assign(a, { uid: dice.next(70000), gid: dice.next(70000) })
    if (maybe()) Object.assign(a, { atime: dice.next(2 ** 31), mtime: dice.next(2 ** 31) })
  } else {
    if (maybe()) Object.assign(a, { owner: `user${dice.next(9)}`, group: 'staff' })
    if (maybe()) Object.assign(a, { atime: dice.next(2 ** 31), atimeNs: dice.next(10 ** 9) })
  }
  if (maybe()) a.extended = [{ name: 'x@example.com', data: Buffer.of(dice.next(256)) }]
  return a
}
