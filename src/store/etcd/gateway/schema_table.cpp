// The messages of rpc.proto, kv.proto, auth.proto, v3lock.proto and v3election.proto (etcd 3.7),
// and their paths.
#include "store/etcd/gateway/schema.h"

namespace rs::store::etcd::gateway {

const std::string_view kTypes = R"(
mvccpb.KeyValue: key=1:bytes, create_revision=2:int64, mod_revision=3:int64, version=4:int64, value=5:bytes,
  lease=6:int64
mvccpb.Event: type=1:EventType, kv=2:KeyValue, prev_kv=3:KeyValue
enum mvccpb.Event.EventType: PUT=0, DELETE=1
authpb.UserAddOptions: no_password=1:bool
authpb.User: name=1:bytes, password=2:bytes, roles=3:repeated string, options=4:UserAddOptions
authpb.Permission: permType=1:Type, key=2:bytes, range_end=3:bytes
enum authpb.Permission.Type: READ=0, WRITE=1, READWRITE=2
authpb.Role: name=1:bytes, keyPermission=2:repeated Permission
etcdserverpb.ResponseHeader: cluster_id=1:uint64, member_id=2:uint64, revision=3:int64, raft_term=4:uint64
etcdserverpb.RangeRequest: key=1:bytes, range_end=2:bytes, limit=3:int64, revision=4:int64, sort_order=5:SortOrder,
  sort_target=6:SortTarget, serializable=7:bool, keys_only=8:bool, count_only=9:bool, min_mod_revision=10:int64,
  max_mod_revision=11:int64, min_create_revision=12:int64, max_create_revision=13:int64
enum etcdserverpb.RangeRequest.SortOrder: NONE=0, ASCEND=1, DESCEND=2
enum etcdserverpb.RangeRequest.SortTarget: KEY=0, VERSION=1, CREATE=2, MOD=3, VALUE=4
etcdserverpb.RangeResponse: header=1:ResponseHeader, kvs=2:repeated mvccpb.KeyValue, more=3:bool, count=4:int64
etcdserverpb.PutRequest: key=1:bytes, value=2:bytes, lease=3:int64, prev_kv=4:bool, ignore_value=5:bool,
  ignore_lease=6:bool
etcdserverpb.PutResponse: header=1:ResponseHeader, prev_kv=2:mvccpb.KeyValue
etcdserverpb.DeleteRangeRequest: key=1:bytes, range_end=2:bytes, prev_kv=3:bool
etcdserverpb.DeleteRangeResponse: header=1:ResponseHeader, deleted=2:int64, prev_kvs=3:repeated mvccpb.KeyValue
etcdserverpb.RequestOp: oneof request request_range=1:RangeRequest, oneof request request_put=2:PutRequest,
  oneof request request_delete_range=3:DeleteRangeRequest, oneof request request_txn=4:TxnRequest
etcdserverpb.ResponseOp: oneof response response_range=1:RangeResponse, oneof response response_put=2:PutResponse,
  oneof response response_delete_range=3:DeleteRangeResponse, oneof response response_txn=4:TxnResponse
etcdserverpb.Compare: result=1:CompareResult, target=2:CompareTarget, key=3:bytes,
  oneof target_union version=4:int64, oneof target_union create_revision=5:int64,
  oneof target_union mod_revision=6:int64, oneof target_union value=7:bytes, oneof target_union lease=8:int64,
  range_end=64:bytes
enum etcdserverpb.Compare.CompareResult: EQUAL=0, GREATER=1, LESS=2, NOT_EQUAL=3
enum etcdserverpb.Compare.CompareTarget: VERSION=0, CREATE=1, MOD=2, VALUE=3, LEASE=4
etcdserverpb.TxnRequest: compare=1:repeated Compare, success=2:repeated RequestOp, failure=3:repeated RequestOp
etcdserverpb.TxnResponse: header=1:ResponseHeader, succeeded=2:bool, responses=3:repeated ResponseOp
etcdserverpb.CompactionRequest: revision=1:int64, physical=2:bool
etcdserverpb.CompactionResponse: header=1:ResponseHeader
etcdserverpb.HashRequest:
etcdserverpb.HashKVRequest: revision=1:int64
etcdserverpb.HashKVResponse: header=1:ResponseHeader, hash=2:uint32, compact_revision=3:int64, hash_revision=4:int64
etcdserverpb.HashResponse: header=1:ResponseHeader, hash=2:uint32
etcdserverpb.SnapshotRequest:
etcdserverpb.SnapshotResponse: header=1:ResponseHeader, remaining_bytes=2:uint64, blob=3:bytes, version=4:string
etcdserverpb.WatchRequest: oneof request_union create_request=1:WatchCreateRequest,
  oneof request_union cancel_request=2:WatchCancelRequest,
  oneof request_union progress_request=3:WatchProgressRequest
etcdserverpb.WatchCreateRequest: key=1:bytes, range_end=2:bytes, start_revision=3:int64, progress_notify=4:bool,
  filters=5:repeated FilterType, prev_kv=6:bool, watch_id=7:int64, fragment=8:bool
enum etcdserverpb.WatchCreateRequest.FilterType: NOPUT=0, NODELETE=1
etcdserverpb.WatchCancelRequest: watch_id=1:int64
etcdserverpb.WatchProgressRequest:
etcdserverpb.WatchResponse: header=1:ResponseHeader, watch_id=2:int64, created=3:bool, canceled=4:bool,
  compact_revision=5:int64, cancel_reason=6:string, fragment=7:bool, events=11:repeated mvccpb.Event
etcdserverpb.LeaseGrantRequest: TTL=1:int64, ID=2:int64
etcdserverpb.LeaseGrantResponse: header=1:ResponseHeader, ID=2:int64, TTL=3:int64, error=4:string
etcdserverpb.LeaseRevokeRequest: ID=1:int64
etcdserverpb.LeaseRevokeResponse: header=1:ResponseHeader
etcdserverpb.LeaseKeepAliveRequest: ID=1:int64
etcdserverpb.LeaseKeepAliveResponse: header=1:ResponseHeader, ID=2:int64, TTL=3:int64
etcdserverpb.LeaseTimeToLiveRequest: ID=1:int64, keys=2:bool
etcdserverpb.LeaseTimeToLiveResponse: header=1:ResponseHeader, ID=2:int64, TTL=3:int64, grantedTTL=4:int64,
  keys=5:repeated bytes
etcdserverpb.LeaseLeasesRequest:
etcdserverpb.LeaseStatus: ID=1:int64
etcdserverpb.LeaseLeasesResponse: header=1:ResponseHeader, leases=2:repeated LeaseStatus
etcdserverpb.Member: ID=1:uint64, name=2:string, peerURLs=3:repeated string, clientURLs=4:repeated string,
  isLearner=5:bool
etcdserverpb.MemberAddRequest: peerURLs=1:repeated string, isLearner=2:bool
etcdserverpb.MemberAddResponse: header=1:ResponseHeader, member=2:Member, members=3:repeated Member
etcdserverpb.MemberRemoveRequest: ID=1:uint64
etcdserverpb.MemberRemoveResponse: header=1:ResponseHeader, members=2:repeated Member
etcdserverpb.MemberUpdateRequest: ID=1:uint64, peerURLs=2:repeated string
etcdserverpb.MemberUpdateResponse: header=1:ResponseHeader, members=2:repeated Member
etcdserverpb.MemberListRequest: linearizable=1:bool
etcdserverpb.MemberListResponse: header=1:ResponseHeader, members=2:repeated Member
etcdserverpb.MemberPromoteRequest: ID=1:uint64
etcdserverpb.MemberPromoteResponse: header=1:ResponseHeader, members=2:repeated Member
etcdserverpb.DefragmentRequest:
etcdserverpb.DefragmentResponse: header=1:ResponseHeader
etcdserverpb.MoveLeaderRequest: targetID=1:uint64
etcdserverpb.MoveLeaderResponse: header=1:ResponseHeader
enum etcdserverpb.AlarmType: NONE=0, NOSPACE=1, CORRUPT=2
etcdserverpb.AlarmRequest: action=1:AlarmAction, memberID=2:uint64, alarm=3:AlarmType
enum etcdserverpb.AlarmRequest.AlarmAction: GET=0, ACTIVATE=1, DEACTIVATE=2
etcdserverpb.AlarmMember: memberID=1:uint64, alarm=2:AlarmType
etcdserverpb.AlarmResponse: header=1:ResponseHeader, alarms=2:repeated AlarmMember
etcdserverpb.DowngradeRequest: action=1:DowngradeAction, version=2:string
enum etcdserverpb.DowngradeRequest.DowngradeAction: VALIDATE=0, ENABLE=1, CANCEL=2
etcdserverpb.DowngradeResponse: header=1:ResponseHeader, version=2:string
etcdserverpb.StatusRequest:
etcdserverpb.StatusResponse: header=1:ResponseHeader, version=2:string, dbSize=3:int64, leader=4:uint64,
  raftIndex=5:uint64, raftTerm=6:uint64, raftAppliedIndex=7:uint64, errors=8:repeated string, dbSizeInUse=9:int64,
  isLearner=10:bool, storageVersion=11:string, dbSizeQuota=12:int64, downgradeInfo=13:DowngradeInfo
etcdserverpb.DowngradeInfo: enabled=1:bool, targetVersion=2:string
etcdserverpb.AuthEnableRequest:
etcdserverpb.AuthDisableRequest:
etcdserverpb.AuthStatusRequest:
etcdserverpb.AuthenticateRequest: name=1:string, password=2:string
etcdserverpb.AuthUserAddRequest: name=1:string, password=2:string, options=3:authpb.UserAddOptions,
  hashedPassword=4:string
etcdserverpb.AuthUserGetRequest: name=1:string
etcdserverpb.AuthUserDeleteRequest: name=1:string
etcdserverpb.AuthUserChangePasswordRequest: name=1:string, password=2:string, hashedPassword=3:string
etcdserverpb.AuthUserGrantRoleRequest: user=1:string, role=2:string
etcdserverpb.AuthUserRevokeRoleRequest: name=1:string, role=2:string
etcdserverpb.AuthRoleAddRequest: name=1:string
etcdserverpb.AuthRoleGetRequest: role=1:string
etcdserverpb.AuthUserListRequest:
etcdserverpb.AuthRoleListRequest:
etcdserverpb.AuthRoleDeleteRequest: role=1:string
etcdserverpb.AuthRoleGrantPermissionRequest: name=1:string, perm=2:authpb.Permission
etcdserverpb.AuthRoleRevokePermissionRequest: role=1:string, key=2:bytes, range_end=3:bytes
etcdserverpb.AuthEnableResponse: header=1:ResponseHeader
etcdserverpb.AuthDisableResponse: header=1:ResponseHeader
etcdserverpb.AuthStatusResponse: header=1:ResponseHeader, enabled=2:bool, authRevision=3:uint64
etcdserverpb.AuthenticateResponse: header=1:ResponseHeader, token=2:string
etcdserverpb.AuthUserAddResponse: header=1:ResponseHeader
etcdserverpb.AuthUserGetResponse: header=1:ResponseHeader, roles=2:repeated string
etcdserverpb.AuthUserDeleteResponse: header=1:ResponseHeader
etcdserverpb.AuthUserChangePasswordResponse: header=1:ResponseHeader
etcdserverpb.AuthUserGrantRoleResponse: header=1:ResponseHeader
etcdserverpb.AuthUserRevokeRoleResponse: header=1:ResponseHeader
etcdserverpb.AuthRoleAddResponse: header=1:ResponseHeader
etcdserverpb.AuthRoleGetResponse: header=1:ResponseHeader, perm=2:repeated authpb.Permission
etcdserverpb.AuthRoleListResponse: header=1:ResponseHeader, roles=2:repeated string
etcdserverpb.AuthUserListResponse: header=1:ResponseHeader, users=2:repeated string
etcdserverpb.AuthRoleDeleteResponse: header=1:ResponseHeader
etcdserverpb.AuthRoleGrantPermissionResponse: header=1:ResponseHeader
etcdserverpb.AuthRoleRevokePermissionResponse: header=1:ResponseHeader
v3lockpb.LockRequest: name=1:bytes, lease=2:int64
v3lockpb.LockResponse: header=1:etcdserverpb.ResponseHeader, key=2:bytes
v3lockpb.UnlockRequest: key=1:bytes
v3lockpb.UnlockResponse: header=1:etcdserverpb.ResponseHeader
v3electionpb.CampaignRequest: name=1:bytes, lease=2:int64, value=3:bytes
v3electionpb.CampaignResponse: header=1:etcdserverpb.ResponseHeader, leader=2:LeaderKey
v3electionpb.LeaderKey: name=1:bytes, key=2:bytes, rev=3:int64, lease=4:int64
v3electionpb.LeaderRequest: name=1:bytes
v3electionpb.LeaderResponse: header=1:etcdserverpb.ResponseHeader, kv=2:mvccpb.KeyValue
v3electionpb.ResignRequest: leader=1:LeaderKey
v3electionpb.ResignResponse: header=1:etcdserverpb.ResponseHeader
v3electionpb.ProclaimRequest: leader=1:LeaderKey, value=2:bytes
v3electionpb.ProclaimResponse: header=1:etcdserverpb.ResponseHeader
)";

const std::string_view kRoutes = R"(
/v3/kv/range etcdserverpb.KV/Range RangeRequest RangeResponse unary
/v3/kv/put etcdserverpb.KV/Put PutRequest PutResponse unary
/v3/kv/deleterange etcdserverpb.KV/DeleteRange DeleteRangeRequest DeleteRangeResponse unary
/v3/kv/txn etcdserverpb.KV/Txn TxnRequest TxnResponse unary
/v3/kv/compaction etcdserverpb.KV/Compact CompactionRequest CompactionResponse unary
/v3/watch etcdserverpb.Watch/Watch WatchRequest WatchResponse watch
/v3/lease/grant etcdserverpb.Lease/LeaseGrant LeaseGrantRequest LeaseGrantResponse unary
/v3/lease/revoke etcdserverpb.Lease/LeaseRevoke LeaseRevokeRequest LeaseRevokeResponse unary
/v3/kv/lease/revoke etcdserverpb.Lease/LeaseRevoke LeaseRevokeRequest LeaseRevokeResponse unary
/v3/lease/keepalive etcdserverpb.Lease/LeaseKeepAlive LeaseKeepAliveRequest LeaseKeepAliveResponse keepalive
/v3/lease/timetolive etcdserverpb.Lease/LeaseTimeToLive LeaseTimeToLiveRequest LeaseTimeToLiveResponse unary
/v3/kv/lease/timetolive etcdserverpb.Lease/LeaseTimeToLive LeaseTimeToLiveRequest LeaseTimeToLiveResponse unary
/v3/lease/leases etcdserverpb.Lease/LeaseLeases LeaseLeasesRequest LeaseLeasesResponse unary
/v3/kv/lease/leases etcdserverpb.Lease/LeaseLeases LeaseLeasesRequest LeaseLeasesResponse unary
/v3/cluster/member/add etcdserverpb.Cluster/MemberAdd MemberAddRequest MemberAddResponse unary
/v3/cluster/member/remove etcdserverpb.Cluster/MemberRemove MemberRemoveRequest MemberRemoveResponse unary
/v3/cluster/member/update etcdserverpb.Cluster/MemberUpdate MemberUpdateRequest MemberUpdateResponse unary
/v3/cluster/member/list etcdserverpb.Cluster/MemberList MemberListRequest MemberListResponse unary
/v3/cluster/member/promote etcdserverpb.Cluster/MemberPromote MemberPromoteRequest MemberPromoteResponse unary
/v3/maintenance/alarm etcdserverpb.Maintenance/Alarm AlarmRequest AlarmResponse unary
/v3/maintenance/status etcdserverpb.Maintenance/Status StatusRequest StatusResponse unary
/v3/maintenance/defragment etcdserverpb.Maintenance/Defragment DefragmentRequest DefragmentResponse unary
/v3/maintenance/hash etcdserverpb.Maintenance/Hash HashRequest HashResponse unary
/v3/maintenance/hashkv etcdserverpb.Maintenance/HashKV HashKVRequest HashKVResponse unary
/v3/maintenance/snapshot etcdserverpb.Maintenance/Snapshot SnapshotRequest SnapshotResponse stream
/v3/maintenance/transfer-leadership etcdserverpb.Maintenance/MoveLeader MoveLeaderRequest MoveLeaderResponse unary
/v3/maintenance/downgrade etcdserverpb.Maintenance/Downgrade DowngradeRequest DowngradeResponse unary
/v3/auth/enable etcdserverpb.Auth/AuthEnable AuthEnableRequest AuthEnableResponse unary
/v3/auth/disable etcdserverpb.Auth/AuthDisable AuthDisableRequest AuthDisableResponse unary
/v3/auth/status etcdserverpb.Auth/AuthStatus AuthStatusRequest AuthStatusResponse unary
/v3/auth/authenticate etcdserverpb.Auth/Authenticate AuthenticateRequest AuthenticateResponse unary
/v3/auth/user/add etcdserverpb.Auth/UserAdd AuthUserAddRequest AuthUserAddResponse unary
/v3/auth/user/get etcdserverpb.Auth/UserGet AuthUserGetRequest AuthUserGetResponse unary
/v3/auth/user/list etcdserverpb.Auth/UserList AuthUserListRequest AuthUserListResponse unary
/v3/auth/user/delete etcdserverpb.Auth/UserDelete AuthUserDeleteRequest AuthUserDeleteResponse unary
/v3/auth/user/changepw etcdserverpb.Auth/UserChangePassword AuthUserChangePasswordRequest AuthUserChangePasswordResponse unary
/v3/auth/user/grant etcdserverpb.Auth/UserGrantRole AuthUserGrantRoleRequest AuthUserGrantRoleResponse unary
/v3/auth/user/revoke etcdserverpb.Auth/UserRevokeRole AuthUserRevokeRoleRequest AuthUserRevokeRoleResponse unary
/v3/auth/role/add etcdserverpb.Auth/RoleAdd AuthRoleAddRequest AuthRoleAddResponse unary
/v3/auth/role/get etcdserverpb.Auth/RoleGet AuthRoleGetRequest AuthRoleGetResponse unary
/v3/auth/role/list etcdserverpb.Auth/RoleList AuthRoleListRequest AuthRoleListResponse unary
/v3/auth/role/delete etcdserverpb.Auth/RoleDelete AuthRoleDeleteRequest AuthRoleDeleteResponse unary
/v3/auth/role/grant etcdserverpb.Auth/RoleGrantPermission AuthRoleGrantPermissionRequest AuthRoleGrantPermissionResponse unary
/v3/auth/role/revoke etcdserverpb.Auth/RoleRevokePermission AuthRoleRevokePermissionRequest AuthRoleRevokePermissionResponse unary
/v3/lock/lock v3lockpb.Lock/Lock v3lockpb.LockRequest v3lockpb.LockResponse unary
/v3/lock/unlock v3lockpb.Lock/Unlock v3lockpb.UnlockRequest v3lockpb.UnlockResponse unary
/v3/election/campaign v3electionpb.Election/Campaign v3electionpb.CampaignRequest v3electionpb.CampaignResponse unary
/v3/election/proclaim v3electionpb.Election/Proclaim v3electionpb.ProclaimRequest v3electionpb.ProclaimResponse unary
/v3/election/leader v3electionpb.Election/Leader v3electionpb.LeaderRequest v3electionpb.LeaderResponse unary
/v3/election/observe v3electionpb.Election/Observe v3electionpb.LeaderRequest v3electionpb.LeaderResponse stream
/v3/election/resign v3electionpb.Election/Resign v3electionpb.ResignRequest v3electionpb.ResignResponse unary
)";

}  // namespace rs::store::etcd::gateway
