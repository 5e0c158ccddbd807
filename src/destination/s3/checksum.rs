//! The checksums of an object and of its parts, computed here, so that they travel as plain headers that any store
//! reads, never as trailers of an aws-chunked body.

use aws_sdk_s3::operation::complete_multipart_upload::builders::CompleteMultipartUploadFluentBuilder;
use aws_sdk_s3::operation::create_multipart_upload::builders::CreateMultipartUploadFluentBuilder;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::operation::upload_part::builders::UploadPartFluentBuilder;
use aws_sdk_s3::types::builders::CompletedPartBuilder;
use aws_sdk_s3::types::{ChecksumAlgorithm, ChecksumType};
use aws_smithy_checksums::ChecksumAlgorithm as Hasher;
use aws_smithy_checksums::http::HttpChecksum;

use crate::config::Checksum;

/// A checksum in base64, as S3 writes it.
pub(super) struct Sum {
    algorithm: Checksum,
    value: String,
}

impl Sum {
    /// The checksum of `bytes`; none with [`Checksum::None`].
    pub(super) fn of(algorithm: Checksum, bytes: &[u8]) -> Option<Self> {
        let mut running = Running::new(algorithm)?;
        running.update(bytes);
        Some(running.finish())
    }

    pub(super) fn on_put(self, put: PutObjectFluentBuilder) -> PutObjectFluentBuilder {
        match self.algorithm {
            Checksum::Crc64Nvme => put.checksum_crc64_nvme(self.value),
            Checksum::Crc32 => put.checksum_crc32(self.value),
            Checksum::Crc32c => put.checksum_crc32_c(self.value),
            Checksum::Sha256 => put.checksum_sha256(self.value),
            Checksum::None => put,
        }
    }

    pub(super) fn on_part(&self, part: UploadPartFluentBuilder) -> UploadPartFluentBuilder {
        let value = self.value.clone();
        match self.algorithm {
            Checksum::Crc64Nvme => part.checksum_crc64_nvme(value),
            Checksum::Crc32 => part.checksum_crc32(value),
            Checksum::Crc32c => part.checksum_crc32_c(value),
            Checksum::Sha256 => part.checksum_sha256(value),
            Checksum::None => part,
        }
    }

    pub(super) fn on_completed_part(self, part: CompletedPartBuilder) -> CompletedPartBuilder {
        match self.algorithm {
            Checksum::Crc64Nvme => part.checksum_crc64_nvme(self.value),
            Checksum::Crc32 => part.checksum_crc32(self.value),
            Checksum::Crc32c => part.checksum_crc32_c(self.value),
            Checksum::Sha256 => part.checksum_sha256(self.value),
            Checksum::None => part,
        }
    }

    /// The checksum of the whole object; SHA-256, which cannot be one in an upload in parts, is left out: there S3
    /// checks the digest of the parts' digests that it makes itself.
    pub(super) fn on_complete(
        self,
        complete: CompleteMultipartUploadFluentBuilder,
    ) -> CompleteMultipartUploadFluentBuilder {
        let complete = complete.set_checksum_type(checksum_type(self.algorithm));
        match self.algorithm {
            Checksum::Crc64Nvme => complete.checksum_crc64_nvme(self.value),
            Checksum::Crc32 => complete.checksum_crc32(self.value),
            Checksum::Crc32c => complete.checksum_crc32_c(self.value),
            Checksum::Sha256 | Checksum::None => complete,
        }
    }
}

/// A checksum that is being computed.
pub(super) struct Running {
    algorithm: Checksum,
    state: Box<dyn HttpChecksum>,
}

impl Running {
    /// Of nothing yet; none with [`Checksum::None`].
    pub(super) fn new(algorithm: Checksum) -> Option<Self> {
        let hasher = match algorithm {
            Checksum::Crc64Nvme => Hasher::Crc64Nvme,
            Checksum::Crc32 => Hasher::Crc32,
            Checksum::Crc32c => Hasher::Crc32c,
            Checksum::Sha256 => Hasher::Sha256,
            Checksum::None => return None,
        };
        Some(Running { algorithm, state: hasher.into_impl() })
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.state.update(bytes);
    }

    pub(super) fn finish(self) -> Sum {
        let value = base64_simd::STANDARD.encode_to_string(self.state.finalize());
        Sum { algorithm: self.algorithm, value }
    }
}

/// Says at the beginning of an upload which checksums its parts will have.
pub(super) fn on_begin(
    algorithm: Checksum,
    begin: CreateMultipartUploadFluentBuilder,
) -> CreateMultipartUploadFluentBuilder {
    let name = match algorithm {
        Checksum::Crc64Nvme => ChecksumAlgorithm::Crc64Nvme,
        Checksum::Crc32 => ChecksumAlgorithm::Crc32,
        Checksum::Crc32c => ChecksumAlgorithm::Crc32C,
        Checksum::Sha256 => ChecksumAlgorithm::Sha256,
        Checksum::None => return begin,
    };
    begin.checksum_algorithm(name).set_checksum_type(checksum_type(algorithm))
}

fn checksum_type(algorithm: Checksum) -> Option<ChecksumType> {
    match algorithm {
        Checksum::Crc64Nvme | Checksum::Crc32 | Checksum::Crc32c => Some(ChecksumType::FullObject),
        Checksum::Sha256 => Some(ChecksumType::Composite),
        Checksum::None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Check values of the catalogue of CRC algorithms and of FIPS 180-4, in base64.
    #[test]
    fn the_sums_are_the_published_ones() {
        let of = |algorithm| Sum::of(algorithm, b"123456789").map(|sum| sum.value);
        assert_eq!(of(Checksum::Crc32).as_deref(), Some("y/Q5Jg=="));
        assert_eq!(of(Checksum::Crc32c).as_deref(), Some("4waSgw=="));
        assert_eq!(of(Checksum::Crc64Nvme).as_deref(), Some("rosUhgp5mIg="));
        assert_eq!(of(Checksum::Sha256).as_deref(), Some("FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="));
        assert_eq!(of(Checksum::None), None);
    }
}
