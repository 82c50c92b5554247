import type { FileSystem } from '../../lib/sftp/filesystem.ts'
import { Lanes } from '../../lib/sftp/lanes.ts'
import { RemoteFileSystem } from '../../lib/sftp/remote-filesystem.ts'
import { type SessionOptions, SftpSession } from '../../lib/sftp/session.ts'
import { SftpError } from '../../lib/sftp/status.ts'
import { LocalFileSystem } from '../net/local-filesystem.ts'
import type { FileHost, FileProgram } from './file-host.ts'
import type { FileHosts } from './file-hosts.ts'
import type { Operand, RemoteOperand } from './operands.ts'

/** A side of a copy: files and where they are. */
export interface Place {
  readonly kind: Operand['kind']
  /** Of the connection that there is now. */
  readonly files: FileSystem
  /** Whether the connection is gone. */
  readonly isLost: boolean
  /** Connects again. @throws SshError when the host cannot be reached or has no SFTP */
  reconnect(): Promise<void>
}

/** Sessions by the host's connection: operands of one host share one. */
const sessions = new WeakMap<object, Promise<RemoteFileSystem>>()

/** The files behind a program of a host, with more lanes where they cost no further login. @throws SshError */
export async function remoteFiles(
  host: FileHost,
  program: FileProgram,
  options: SessionOptions,
): Promise<RemoteFileSystem> {
  const open = async (): Promise<SftpSession> => SftpSession.open((await host.start(program)).stream, options)
  return new RemoteFileSystem(await open(), host.isShared ? new Lanes(open) : undefined)
}

function sessionOf(host: FileHost, replyTimeout: number | undefined): Promise<RemoteFileSystem> {
  const known = sessions.get(host)
  if (known) return known
  const session = remoteFiles(host, { subsystem: 'sftp' }, replyTimeout === undefined ? {} : { replyTimeout })
  sessions.set(host, session)
  return session
}

class RemotePlace implements Place {
  readonly kind = 'remote'
  readonly #hosts: FileHosts
  readonly #operand: RemoteOperand
  #host: FileHost
  #files: RemoteFileSystem

  constructor(hosts: FileHosts, operand: RemoteOperand, host: FileHost, files: RemoteFileSystem) {
    this.#hosts = hosts
    this.#operand = operand
    this.#host = host
    this.#files = files
  }

  get files(): RemoteFileSystem {
    return this.#files
  }

  get isLost(): boolean {
    return this.#files.session.over !== undefined
  }

  async reconnect(): Promise<void> {
    // Another operand of the host may have connected already.
    const there = await this.#hosts.open(this.#operand).catch(() => this.#host)
    const host = there === this.#host ? await this.#hosts.reopen(this.#operand) : there
    this.#files = await sessionOf(host, this.#hosts.replyTimeout)
    this.#host = host
  }
}

/** @throws SshError when the host cannot be reached or has no SFTP */
export async function placeOf(hosts: FileHosts, operand: Operand): Promise<Place> {
  if (operand.kind === 'local') {
    return { kind: 'local', files: new LocalFileSystem({ blocking: 'always' }), isLost: false, async reconnect() {} }
  }
  const host = await hosts.open(operand)
  return new RemotePlace(hosts, operand, host, await sessionOf(host, hosts.replyTimeout))
}

/**
 * A remote path begins in the home directory, so `~` only has to be taken away, unless it is another user's.
 * @throws SftpError when the server cannot tell where that is
 */
export async function expandHome({ kind, files }: Place, path: string): Promise<string> {
  if (kind === 'local') return path
  if (path === '' || /^~\/*$/.test(path)) return '.'
  if (path.startsWith('~/')) return path.replace(/^~\/+/, '')
  if (!path.startsWith('~') || !(files instanceof RemoteFileSystem)) return path
  if (!files.session.extensions.has('expand-path@openssh.com')) {
    throw new SftpError('op-unsupported', {
      message: 'server expand-path extension is required for ~user paths in SFTP mode',
    })
  }
  return files.expandPath(path)
}
