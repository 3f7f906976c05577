import CNghttp2

/// The version of the libnghttp2 that is loaded, which may be newer than the one that was built with.
package let nghttp2Version = String(cString: nghttp2_version(0).pointee.version_str)
