import { chmodSync, chownSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { findAccount, groupIdsOf, ownAccount, runAs } from '../../src/net/accounts.ts'

const isRoot = process.getuid?.() === 0
const nobody = findAccount('nobody')

test('accounts are those of passwd(5)', () => {
  const own = userInfo()
  expect(ownAccount()).toMatchObject({ name: own.username, uid: own.uid, gid: own.gid, home: own.homedir })
  expect(findAccount(own.username)).toMatchObject({ uid: own.uid, gid: own.gid })
  expect(groupIdsOf(ownAccount())[0]).toBe(own.gid)
})

test.each(['', '-x', 'no such user', 'root:', 'ro\0ot', '__proto__', '../root', 'root\nroot', '*'])(
  '%j is no user',
  name => {
    expect(findAccount(name)).toBeUndefined()
  },
)

test.skipIf(!isRoot || !nobody)(
  'as another user (root only): what that user may not read is refused, and it ends',
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'tssh-as-'))
    try {
      chmodSync(folder, 0o755)
      const secret = join(folder, 'secret')
      const own = join(folder, 'own')
      writeFileSync(secret, 'secret', { mode: 0o600 })
      writeFileSync(own, 'own', { mode: 0o600 })
      chownSync(own, nobody!.uid, nobody!.gid)
      const groups = process.getgroups?.()
      expect(() => runAs(nobody!, () => readFileSync(secret))).toThrow(/EACCES/)
      expect(runAs(nobody!, () => readFileSync(own, 'utf8'))).toBe('own')
      expect(runAs(nobody!, () => [process.geteuid?.(), process.getegid?.()])).toEqual([nobody!.uid, nobody!.gid])
      expect(runAs(nobody!, () => process.getgroups?.())).not.toContain(0)
      expect([process.geteuid?.(), process.getegid?.(), process.getgroups?.()]).toEqual([0, 0, groups])
      expect(readFileSync(secret, 'utf8')).toBe('secret')
    } finally {
      rmSync(folder, { recursive: true })
    }
  },
)
