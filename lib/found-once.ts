/** What `find` finds, looked for at the first call alone; that nothing was found is kept too. */
export function foundOnce<T extends object>(find: () => T | undefined): () => T | undefined {
  let known: T | 'missing' | undefined
  return () => {
    known ??= find() ?? 'missing'
    return known === 'missing' ? undefined : known
  }
}
