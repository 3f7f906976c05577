// Searching by halving, once for every array that is kept in order.

extension RandomAccessCollection {
    /// Where the elements that satisfy the condition begin. All of them come after all that do not.
    func partitionPoint(_ isBehind: (Element) -> Bool) -> Index {
        var low = startIndex
        var count = count
        while count > 0 {
            let half = count / 2
            let middle = index(low, offsetBy: half)
            if isBehind(self[middle]) {
                count = half
            } else {
                low = index(after: middle)
                count -= half + 1
            }
        }
        return low
    }
}
