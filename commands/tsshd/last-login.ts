import { closeSync, openSync, readSync } from 'node:fs'
import type { Log } from '../../lib/log.ts'
import type { Account } from '../../src/net/accounts.ts'

/** lastlog(5) of Linux: one record a user, at its number's place. */
const file = '/var/log/lastlog'
const recordLength = 292
const lineAt = 4
const hostAt = 36

const text = (record: Buffer, start: number, end: number): string =>
  record
    .toString('latin1', start, end)
    .replace(/\0.*$/s, '')
    .replace(/[^\x20-\x7e]/g, '?')

/** What PrintLastLog shows of an account; undefined, and a line in the log, when there are no records to read. */
export function lastLogin({ uid }: Account, log: Log): string | undefined {
  const record = Buffer.alloc(recordLength)
  try {
    const descriptor = openSync(file, 'r')
    try {
      if (readSync(descriptor, record, 0, recordLength, uid * recordLength) < recordLength) return undefined
    } finally {
      closeSync(descriptor)
    }
  } catch {
    log.debug1?.(`PrintLastLog: ${file} cannot be read, so the last login is not known`)
    return undefined
  }
  const seconds = record.readInt32LE(0)
  if (seconds <= 0) return undefined
  const date = new Date(seconds * 1000)
  const two = (value: number): string => String(value).padStart(2, '0')
  const clock = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':')
  const [day, month] = date.toDateString().split(' ')
  const when = `${day} ${month} ${String(date.getDate()).padStart(2)} ${clock} ${date.getFullYear()}`
  const host = text(record, hostAt, recordLength) || text(record, lineAt, hostAt)
  return `Last login: ${when}${host ? ` from ${host}` : ''}\n`
}
