import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { sshKeywords } from '../../src/openssh/ssh-config.ts'
import { sshdKeywords } from '../../src/openssh/sshd-config.ts'

const pages = [
  { page: 'man/tssh_config.5', table: sshKeywords, structural: ['Host', 'Match', 'Include'] },
  { page: 'man/tsshd_config.5', table: sshdKeywords, structural: ['Match', 'Include'] },
]

describe.each(pages)('$page', ({ page, table, structural }) => {
  const described = [...readFileSync(page, 'utf8').matchAll(/^\.It Cm ([A-Z]\w*)$/gm)].map(match =>
    match[1]!.toLowerCase(),
  )
  const expected = [...Object.values(table).map(row => row.name), ...structural].map(name => name.toLowerCase())

  test('describes every keyword, and no other', () => {
    expect(described.toSorted()).toEqual(expected.toSorted())
  })

  test.runIf(spawnSync('mandoc', ['-h']).error === undefined)('is clean for mandoc', () => {
    const { stdout } = spawnSync('mandoc', ['-T', 'lint', page], { encoding: 'utf8' })
    // A page that is not installed cannot be found.
    expect(stdout.split('\n').filter(line => line !== '' && !line.includes('referenced manual not found'))).toEqual([])
  })
})
