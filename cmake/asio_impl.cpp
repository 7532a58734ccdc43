// Asio's own code, compiled once (BOOST_ASIO_SEPARATE_COMPILATION). Not in a room: the precompiled header makes every
// object file refer to it.
#include <boost/asio/impl/src.hpp>
#include <boost/asio/ssl/impl/src.hpp>
