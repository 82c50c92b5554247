import type { Log } from '../log.ts'
import type { Field } from '../wire/struct.ts'
import type { Writer } from '../wire/writer.ts'
import type { AnswerMemory } from './answer-memory.ts'
import type { Attributes, SftpVersion } from './attributes.ts'
import type { FileSystem } from './filesystem.ts'
import { type Messages, type NameEntry, packetType } from './messages.ts'
import type { Scope } from './request-order.ts'
import type { HandleTable } from './server-handles.ts'
import type { SymlinkOrder } from './session.ts'

/** What the handlers of requests work with. */
export interface ServerContext {
  readonly files: FileSystem
  readonly version: SftpVersion
  readonly messages: Messages
  readonly handles: HandleTable
  readonly maximumHandles: number
  readonly symlinkOrder: SymlinkOrder
  readonly access: 'read-write' | 'read-only'
  readonly log: Log
  /** Where data lies that is read at once. */
  readonly memory: AnswerMemory
  /** Fills in the names of owner and group where the file system gave numbers. */
  named(attributes: Attributes): Promise<Attributes>
}

/** An answer: its type, and what follows the id. `payload` goes out by reference after that. */
export interface Reply {
  readonly type: number
  write(writer: Writer): void
  readonly payload?: Buffer
}

/** What is done for a request: what it touches, and the work. Both may throw SftpError or ProtocolError. */
export interface Work {
  readonly scope: Scope
  /** Bytes that it will hold in memory. */
  readonly bytes?: number
  run(): Promise<Reply | undefined>
  /** The same work, done when this returns; `later`: it may take long, and `run` has to do it. */
  atOnce?(): Reply | undefined | 'later'
}

export function handleReply(context: ServerContext, handle: Buffer): Reply {
  return { type: packetType.handle, write: writer => context.messages.handle.fields.write(writer, { handle }) }
}

export function attributesReply(context: ServerContext, attributes: Attributes): Reply {
  return { type: packetType.attrs, write: writer => context.messages.attrs.fields.write(writer, { attributes }) }
}

export function namesReply(context: ServerContext, names: NameEntry[], end = true): Reply {
  return { type: packetType.name, write: writer => context.messages.name.fields.write(writer, { names, end }) }
}

export const pathReply = (context: ServerContext, path: string): Reply =>
  namesReply(context, [{ name: path, longname: path, attributes: {} }])

export function dataReply(data: Buffer): Reply {
  return { type: packetType.data, write: writer => writer.uint32(data.length), payload: data }
}

export function extendedReply<T>(layout: Field<T>, value: T): Reply {
  return { type: packetType.extendedReply, write: writer => layout.write(writer, value) }
}
