import { randomBytes, scrypt } from 'node:crypto'
import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { equalBytes } from '../../lib/crypto/constant-time.ts'
import { CommandError } from '../../src/command/errors.ts'

/**
 * Passwords of a server that is not root: lines of `name:scrypt$logN$r$p$salt$hash`, salt and hash in base64. The
 * system's passwords are for root's eyes alone.
 */

const derive = promisify(scrypt) as (
  password: string,
  salt: Buffer,
  length: number,
  options: { N: number; r: number; p: number; maxmem: number },
) => Promise<Buffer>

const hashLength = 32
const saltLength = 16
/** 64 MiB for each try (RFC 7914 §2: N is a power of two, memory is 128·N·r). */
const cost = { logN: 16, r: 8, p: 1 } as const
const limits = { logN: 20, r: 16, p: 4 } as const
const fileLimit = 1024 * 1024

interface StoredHash {
  readonly logN: number
  readonly r: number
  readonly p: number
  readonly salt: Buffer
  readonly hash: Buffer
}

const hashOf = (password: string, { logN, r, p, salt }: Omit<StoredHash, 'hash'>): Promise<Buffer> =>
  derive(password, salt, hashLength, { N: 2 ** logN, r, p, maxmem: 256 * 2 ** logN * r * p })

/** A line for the password file. */
export async function passwordEntry(user: string, password: string): Promise<string> {
  const salt = randomBytes(saltLength)
  const hash = await hashOf(password, { ...cost, salt })
  const words = ['scrypt', cost.logN, cost.r, cost.p, salt.toString('base64'), hash.toString('base64')]
  return `${user}:${words.join('$')}`
}

function parseEntry(line: string): StoredHash | undefined {
  const [, logN, r, p, salt = '', hash = ''] =
    /^[^:]+:scrypt\$(\d{1,2})\$(\d{1,2})\$(\d{1,2})\$([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+)$/.exec(line.trim()) ?? []
  const stored = {
    logN: Number(logN),
    r: Number(r),
    p: Number(p),
    salt: Buffer.from(salt, 'base64'),
    hash: Buffer.from(hash, 'base64'),
  }
  const inBounds = (['logN', 'r', 'p'] as const).every(name => stored[name] >= 1 && stored[name] <= limits[name])
  return inBounds && stored.hash.length === hashLength ? stored : undefined
}

/** Somebody without an entry costs as much as somebody with one. */
const decoy: StoredHash = { ...cost, salt: Buffer.alloc(saltLength), hash: Buffer.alloc(hashLength) }

/** Whether the file gives this user this password. It is read anew every time. @throws CommandError as `checkPasswordFile` */
export async function passwordIsInFile(file: string, user: string, password: string): Promise<boolean> {
  const line = readPrivate(file)
    .split('\n')
    .find(candidate => candidate.startsWith(`${user}:`))
  const stored = line === undefined ? undefined : parseEntry(line)
  const computed = await hashOf(password, stored ?? decoy)
  const same = equalBytes(computed, (stored ?? decoy).hash)
  return stored !== undefined && same
}

/** @throws CommandError when the file cannot be read, or others may */
export function checkPasswordFile(file: string): void {
  readPrivate(file)
}

function readPrivate(file: string): string {
  let descriptor: number
  try {
    descriptor = openSync(file, 'r')
  } catch {
    throw new CommandError(`tsshd: cannot read the password file ${file}`, 1)
  }
  try {
    const { mode, uid, size } = fstatSync(descriptor)
    const private_ = (mode & 0o077) === 0 && (uid === 0 || uid === process.geteuid?.())
    if (!private_) throw new CommandError(`tsshd: bad owner or permissions on the password file ${file}`, 1)
    if (size > fileLimit) throw new CommandError(`tsshd: the password file ${file} is too large`, 1)
    return readFileSync(descriptor, 'utf8')
  } finally {
    closeSync(descriptor)
  }
}
