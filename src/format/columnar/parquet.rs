//! Parquet objects.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;

use crate::config::{Parquet, ParquetCompression, ParquetVersion, Statistics};
use crate::error::{Error, Kind, Result};

/// Who wrote it: the same for every build, or a plan that is carried out again by a later one would make other bytes.
const CREATED_BY: &str = "standpipe";
/// zlib's own.
const GZIP_LEVEL: u8 = 6;
/// zstd's own.
const ZSTD_LEVEL: u8 = 3;

pub(super) struct ParquetWriter {
    writer: ArrowWriter<Vec<u8>>,
    row_group_bytes: usize,
}

impl ParquetWriter {
    pub(super) fn new(options: &Parquet, schema: &SchemaRef) -> Result<Self> {
        // Everything that Arrow would note beside Parquet's own schema can be told from it.
        let settings = ArrowWriterOptions::new()
            .with_properties(properties(options)?)
            .with_skip_arrow_metadata(true)
            .with_schema_root("schema".to_owned());
        let writer = ArrowWriter::try_new_with_options(Vec::new(), schema.clone(), settings).map_err(fault)?;
        Ok(ParquetWriter { writer, row_group_bytes: options.row_group_bytes as usize })
    }

    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<Option<Bytes>> {
        self.writer.write(batch).map_err(fault)?;
        if self.writer.in_progress_size() >= self.row_group_bytes {
            self.writer.flush().map_err(fault)?;
        }
        let ready = std::mem::take(self.writer.inner_mut());
        Ok((!ready.is_empty()).then(|| ready.into()))
    }

    pub(super) fn finish(self) -> Result<Option<Bytes>> {
        let rest = self.writer.into_inner().map_err(fault)?;
        Ok((!rest.is_empty()).then(|| rest.into()))
    }

    pub(super) fn held(&self) -> usize {
        self.writer.memory_size()
    }
}

fn properties(options: &Parquet) -> Result<WriterProperties> {
    let statistics = match options.statistics {
        Statistics::None => EnabledStatistics::None,
        Statistics::RowGroup => EnabledStatistics::Chunk,
        Statistics::Page => EnabledStatistics::Page,
    };
    let version = match options.version {
        ParquetVersion::V1 => WriterVersion::PARQUET_1_0,
        ParquetVersion::V2 => WriterVersion::PARQUET_2_0,
    };
    let mut builder = WriterProperties::builder()
        .set_created_by(CREATED_BY.to_owned())
        .set_writer_version(version)
        .set_max_row_group_row_count(Some(options.row_group_rows as usize))
        .set_data_page_size_limit(options.page_bytes as usize)
        .set_dictionary_page_size_limit(options.page_bytes as usize)
        .set_dictionary_enabled(options.dictionary)
        .set_statistics_enabled(statistics)
        .set_compression(compression(options)?);
    for column in &options.bloom_filters {
        let path = ColumnPath::new(column.split('.').map(str::to_owned).collect());
        builder = builder
            .set_column_bloom_filter_enabled(path.clone(), true)
            .set_column_bloom_filter_fpp(path, options.bloom_filter_fpp);
    }
    Ok(builder.build())
}

fn compression(options: &Parquet) -> Result<Compression> {
    Ok(match options.compression {
        ParquetCompression::None => Compression::UNCOMPRESSED,
        ParquetCompression::Snappy => Compression::SNAPPY,
        ParquetCompression::Gzip => {
            let level = options.level.unwrap_or(GZIP_LEVEL);
            Compression::GZIP(GzipLevel::try_new(u32::from(level)).map_err(fault)?)
        }
        ParquetCompression::Zstd => {
            let level = options.level.unwrap_or(ZSTD_LEVEL);
            Compression::ZSTD(ZstdLevel::try_new(i32::from(level)).map_err(fault)?)
        }
    })
}

fn fault(error: ParquetError) -> Error {
    Error::new(Kind::Internal, "the Parquet writer failed").because(error)
}
